"""What ``verdictd check`` says of settings, ``verdictd run`` says too, before it begins anything or asks NATS."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import EnvoyTelemetry, Http, Nats, PrometheusTelemetry, Settings
from daemon.app import serve
from daemon.cli import main
from daemon.errors import VerdictdError
from daemon.meshes.envoy.mesh import EnvoyMesh
from tests.hand.packages import install, packages
from tests.servers.run import free_ports

__all__ = ["packages"]

PROMETHEUS = {"kind": "prometheus", "url": "http://127.0.0.1:9", "dialect": "envoy"}
MESH = {"kind": "envoy", "telemetry": "t", "routes_file": "routes.json", "admin": "http://127.0.0.1:9"}


def telemetry(**more: object) -> dict[str, Any]:
    return {"telemetry": {"t": {**PROMETHEUS, **more}}}


def scraped(*endpoints: str) -> dict[str, Any]:
    return {"telemetry": {"t": {"kind": "envoy", "endpoints": list(endpoints)}}}


def mesh(**more: object) -> dict[str, Any]:
    return {**telemetry(), "meshes": {"m": {**MESH, **more}}}


NO_URLS = [
    "x",
    "",
    " ",
    "foo://h:1",
    "http://",
    "http://h:0",
    "http://h:65536",
    "http://h:port",
    "http://a b",
    "http://h?x=1",
    "h:1",
]

BAD: list[tuple[dict[str, Any], str]] = [
    *[(telemetry(url=url), "telemetry.t.url") for url in NO_URLS],
    *[(scraped("http://127.0.0.1:9", url), "telemetry.t.endpoints[1]") for url in NO_URLS],
    *[(mesh(admin=url), "meshes.m.admin") for url in ["nope", *NO_URLS]],
    *[({"nats": {"url": url}}, "nats.url") for url in ("foo://x", "", " , ", "nats://h:0", "nats://h:65536", "h,nats://", "a b")],
    *[({"nats": {name: ""}}, f"nats.{name}") for name in ("data_dir", "token_file", "credentials_file", "ca_file")],
    *[({"http": {"listen": where}}, "http.listen") for where in ("", "nowhere", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80")],
    ({"http": {"token_file": ""}}, "http.token_file"),
    ({"http": {"listen": "0.0.0.0:8484"}}, "http.token_file"),
    ({"kubernetes": {"kubeconfig": ""}}, "kubernetes.kubeconfig"),
    ({"recordings": {"directory": ""}}, "recordings.directory"),
    (telemetry(token_file=""), "telemetry.t.token_file"),
    (telemetry(ca_file=""), "telemetry.t.ca_file"),
    (mesh(routes_file=""), "meshes.m.routes_file"),
    ({"nats": {"token_file": "a", "credentials_file": "b"}}, "nats.token_file"),
    ({"sources": {"a": {"kind": "nowhere"}}}, "sources.a.kind"),
    ({"sinks": {"a": {}}}, "sinks.a.kind"),
    ({"sinks": {"a": "x"}}, "sinks.a"),
    ({"hooks": {"a": {}}}, "hooks.a.sender"),
    ({"hooks": {"a": {"sender": "gitea"}}}, "hooks.a.sender"),
    ({"hooks": {"a": {"sender": "github"}}}, "hooks.a.secret_files"),
    ({"hooks": {"a": {"sender": "gitlab", "secret_files": [""]}}}, "hooks.a.secret_files[0]"),
    ({"hooks": {"a/b": {"sender": "flux"}}}, "hooks.a/b"),
]


class Door:
    """A file of settings, and a broker that would hear of whoever asks it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._file = folder / "settings.json"
        self._capsys = capsys
        [port] = free_ports(1)  # nobody else asks there, as somebody may whose own server had this port of the system's choice
        self._broker = create_server(("127.0.0.1", port))
        self._broker.settimeout(0.0)
        self.nats = f"nats://127.0.0.1:{port}"

    def told(self, document: Mapping[str, Any], *command: str) -> list[str]:
        """What is said of these settings, a line each; they are refused."""
        self._file.write_text(json.dumps({**document, "nats": {"url": self.nats, **document.get("nats", {})}}))
        assert main([*command, str(self._file)]) == 64
        said = self._capsys.readouterr()
        return (said.out + said.err).splitlines()

    @property
    def asked(self) -> bool:
        """Whether anybody has asked the broker."""
        try:
            self._broker.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._broker.close()


@pytest.fixture
def door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Door]:
    made = Door(tmp_path, capsys)
    yield made
    made.close()


@pytest.mark.parametrize(("document", "path"), BAD, ids=str)
def test_check_and_run_refuse_the_same_in_the_same_words_and_nats_is_not_asked(
    door: Door, document: dict[str, Any], path: str
) -> None:
    checked = door.told(document, "check")
    assert len(checked) == 1
    assert f": {path}: " in checked[0]
    assert "; " in checked[0], "it says how to mend it"
    assert door.told(document, "run", "--config") == checked
    assert not door.asked


def test_a_secret_of_a_hook_that_is_not_there_ends_the_daemon_before_it_asks_nats(door: Door, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("0123456789\n")
    hooks = {"ci": {"sender": "cloudevents", "secret_files": ["/nowhere", str(tmp_path / "short")]}}
    said = "\n".join(door.told({"hooks": hooks}, "run", "--config"))
    assert "hooks.ci.secret_files[0]: /nowhere cannot be read" in said
    assert "hooks.ci.secret_files[1]" in said
    assert not door.asked


@pytest.mark.parametrize(
    ("groups", "path"),
    [
        ({"verdictd.sources": {"s": "nowhere.at_all:ROW"}}, "verdictd.sources.s"),
        ({"verdictd.sinks": {"s": "tests.connectors.made_up:ABSENT"}}, "verdictd.sinks.s"),
        ({"verdictd.sources": {"s": "tests.connectors.made_up:HEARD"}}, "verdictd.sources.s"),
        ({"verdictd.meshes": {"s": "nowhere.at_all:ROW"}}, "verdictd.meshes.s"),
        ({"verdictd.owners": {"s": "tests.delivery.made_up:GARDENERS"}}, "verdictd.owners.s"),
        ({"verdictd.sinks": {"s": "broken:EXITS"}}, "verdictd.sinks.s"),
        ({"verdictd.sources": {"s": "broken:UNNAMED"}}, "verdictd.sources.s"),
        ({"verdictd.sources": {"s": "broken:UNOPENED"}}, "verdictd.sources.s"),
        ({"verdictd.sources": {"s": "broken:OTHERWISE_TAGGED"}}, "verdictd.sources.s"),
        ({"verdictd.sinks": {"s": ":"}}, "verdictd.sinks.s"),
    ],
    ids=str,
)
def test_check_and_run_refuse_a_package_that_cannot_be_used_whatever_the_settings_say(
    door: Door, packages: Path, monkeypatch: pytest.MonkeyPatch, groups: dict[str, dict[str, str]], path: str
) -> None:
    (packages / "broken.py").write_text(
        "from daemon.connectors import Connector\n"
        "from tests.connectors.made_up_settings import JournalSettings\n"
        "def __getattr__(name):\n"
        "    if name == 'EXITS':\n"
        "        raise SystemExit(0)\n"
        "    rows = {'UNNAMED': dict(name=None, open=print), 'UNOPENED': dict(name='a', open=None)}\n"
        "    rows['OTHERWISE_TAGGED'] = dict(name='a', open=print, settings=JournalSettings)\n"
        "    return Connector(**rows[name])\n",
        encoding="utf-8",
    )
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    install(packages, groups)
    checked = door.told({}, "check")
    assert len(checked) == 1
    assert f": {path}: " in checked[0]
    assert "somebody" in checked[0]
    ran = door.told({}, "run", "--config")
    assert [line.partition(": ")[2] for line in ran] == [line.partition(": ")[2] for line in checked]
    assert not door.asked


def test_every_package_that_cannot_be_used_is_told_at_once(door: Door, packages: Path) -> None:
    groups = {f"verdictd.{what}": {"s": "nowhere.at_all:ROW"} for what in ("meshes", "owners", "sources", "sinks")}
    install(packages, groups)
    assert [line.split(": ")[1] for line in door.told({}, "check")] == [f"{group}.s" for group in groups]


OWN = [
    ({"sinks": {"a": {"kind": "jurnal", "title": "x"}}}, "sinks.a.kind"),
    ({"sinks": {"a": {"title": "x"}}}, "sinks.a.kind"),
    ({"sinks": {"a": {"kind": "journal"}}}, "sinks.a.title"),
    ({"sinks": {"a": {"kind": "journal", "title": ""}}}, "sinks.a.title"),
    ({"sinks": {"a": {"kind": "journal", "title": "x", "colour": "red"}}}, "sinks.a.colour"),
    ({"sinks": {"cdevents": {"kind": "journal", "title": "x"}}}, "sinks.cdevents"),
    ({"sources": {"a": {"kind": "pods", "cluster": "a b"}}}, "sources.a.cluster"),
    ({"sources": {"nats": {"kind": "pods", "cluster": "c"}}}, "sources.nats"),
]


@pytest.mark.parametrize(("document", "path"), OWN, ids=str)
def test_the_own_settings_of_a_packages_connector_are_checked_as_ours_are(
    door: Door, packages: Path, document: dict[str, Any], path: str
) -> None:
    module = "tests.connectors.made_up_settings"
    install(packages, {"verdictd.sources": {"s": f"{module}:WATCHED"}, "verdictd.sinks": {"s": f"{module}:JOURNAL"}})
    checked = door.told(document, "check")
    assert len(checked) == 1
    assert f": {path}: " in checked[0]
    assert door.told(document, "run", "--config") == checked


@pytest.mark.parametrize("secret", ["http://u:hunter2@h:port", "//u:hunter2@h", "u:hunter2@h"])
def test_no_refusal_shows_a_password(door: Door, secret: str) -> None:
    for document in (telemetry(url=secret), mesh(admin=secret), {"nats": {"url": f"foo://{secret}"}}):
        for command in (["check"], ["run", "--config"]):
            assert "hunter2" not in "\n".join(door.told(document, *command))


def made_by_hand(nats: str) -> Iterator[Settings]:
    """Settings that nobody has checked."""
    ours, quiet = Nats(url=nats), Http(listen="127.0.0.1:0")
    good = PrometheusTelemetry(url="http://127.0.0.1:9", dialect="envoy")
    yield Settings(nats=ours, http=quiet, telemetry={"t": PrometheusTelemetry(url="x", dialect="envoy")})
    yield Settings(nats=ours, http=quiet, telemetry={"t": EnvoyTelemetry(endpoints=["x"])})
    broken = EnvoyMesh(telemetry="t", routes_file="routes.json", admin="nope")
    yield Settings(nats=ours, http=quiet, telemetry={"t": good}, meshes={"m": broken})
    yield Settings(nats=ours, http=Http(listen="127.0.0.1:0", token_file="/nowhere"))
    yield Settings(nats=Nats(url=f"{nats},foo://x"), http=quiet)


@pytest.mark.parametrize("number", range(5))
async def test_what_opens_a_daemon_refuses_the_same_before_it_asks_nats(door: Door, number: int) -> None:
    settings = list(made_by_hand(door.nats))[number]
    with pytest.raises((ConfigError, VerdictdError)):
        await serve(settings, stop=asyncio.Event())
    assert not door.asked
