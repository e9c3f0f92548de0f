"""The wheel works in an environment that holds nothing but it and the locked dependencies."""

import contextlib
import http.client
import importlib.metadata
import json
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from daemon import __version__
from tests.packaging.installation import PACKAGES, ROOT, Installation, install

pytestmark = [pytest.mark.live, pytest.mark.timeout(400), pytest.mark.xdist_group("wheel")]

T = TypeVar("T")

READY_SECONDS = 60.0
STOP_SECONDS = 5.0
LINUX = sys.platform == "linux"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(tmp_path_factory.mktemp("installation"))


def test_the_wheel_holds_our_packages_whole_and_nothing_else(installation: Installation) -> None:
    with zipfile.ZipFile(installation.wheel) as archive:
        inside = set(archive.namelist())
    metadata = f"verdictd-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in inside} == {*PACKAGES, metadata}
    assert {name for name in inside if not name.startswith(metadata)} == installation.sources


def test_the_source_distribution_makes_the_same_wheel(installation: Installation, tmp_path: Path) -> None:
    made_of(ROOT, "sdist", tmp_path)
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    made_of(tmp_path / "unpacked" / f"verdictd-{__version__}", "wheel", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(installation.wheel) as other:
        assert {one.filename: one.CRC for one in ours.infolist()} == {one.filename: one.CRC for one in other.infolist()}


def made_of(folder: Path, target: str, into: Path) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def test_the_extras_that_documents_and_refusals_name_are_there(installation: Installation) -> None:
    with zipfile.ZipFile(installation.wheel) as archive:
        metadata = archive.read(f"verdictd-{__version__}.dist-info/METADATA").decode()
    extras = set(re.findall(r"^Provides-Extra: (\S+)$", metadata, re.MULTILINE))
    files = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *(ROOT / "daemon").rglob("*.py"), *(ROOT / "config").rglob("*.py")]
    named = {extra for file in files for extra in re.findall(r"(?:verdictd|\.)\[([a-z]+)\]", file.read_text(encoding="utf-8"))}
    assert {"embedded", "notify"} <= named
    assert named <= extras


def test_no_other_distribution_owns_our_names(installation: Installation) -> None:
    """A package that brought a `daemon` of its own would overwrite ours in silence."""
    script = "import importlib.metadata, json; print(json.dumps(importlib.metadata.packages_distributions()))"
    owners = json.loads(installation.run(installation.python, "-c", script).stdout)
    assert {name: owners.get(name) for name in PACKAGES} == {name: ["verdictd"] for name in PACKAGES}


def test_no_development_tool_owns_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    assert {owner for name in PACKAGES for owner in owners.get(name, ())} <= {"verdictd"}


def test_the_environment_is_consistent(installation: Installation) -> None:
    """Every requirement of everything that is installed is installed, in a version that fits."""
    words = ("-m", "pip", "--disable-pip-version-check", "--python", str(installation.python), "check")
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_the_command_says_its_version(installation: Installation) -> None:
    done = installation.run(installation.verdictd, "--version")
    assert (done.returncode, done.stdout.split()[-1:]) == (0, [__version__]), done.stderr


def test_the_command_writes_the_schema_of_a_policy(installation: Installation) -> None:
    done = installation.run(installation.verdictd, "check", "--schema", "policy")
    assert done.returncode == 0, done.stderr
    assert "tolerances" in json.dumps(json.loads(done.stdout))


def test_the_daemon_runs_where_it_can_write_only_its_data_and_stops_in_time(installation: Installation, tmp_path: Path) -> None:
    """A read-only folder, HOME and environment; the embedded broker; ready; SIGTERM; nothing of it is left."""
    before = _files(installation.venv) | _files(installation.nowhere)
    data = tmp_path / "data"
    settings = tmp_path / "verdictd.json"
    settings.write_text(json.dumps({"nats": {"url": "embedded", "data_dir": str(data)}, "http": {"listen": "127.0.0.1:0"}}))
    with _daemon(installation, settings, log=tmp_path / "log") as daemon:
        address = _until(lambda: _address(tmp_path / "log"), daemon, tmp_path / "log")
        _until(lambda: _status(address, "/readyz") == 200, daemon, tmp_path / "log")
        assert _processes_naming(data) or not LINUX, "the broker's process is not found, so its end could not be seen either"
        told = time.monotonic()
        daemon.terminate()
        assert daemon.wait(STOP_SECONDS + 5.0) == 0, (tmp_path / "log").read_text()
        assert time.monotonic() - told < STOP_SECONDS
    assert _processes_naming(data) == []
    assert _files(installation.venv) | _files(installation.nowhere) == before


@contextlib.contextmanager
def _daemon(installation: Installation, settings: Path, *, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    process = installation.popen(installation.verdictd, "run", "--config", settings, log=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _until(wanted: Callable[[], T | None], process: "subprocess.Popen[bytes]", log: Path) -> T:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := wanted():
            return found
        time.sleep(0.05)
    pytest.fail(f"not ready within {READY_SECONDS:g} s, exit code {process.poll()}:\n{log.read_text()}")


def _address(log: Path) -> str | None:
    """host:port, from the line that the daemon logs when it listens."""
    for line in log.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            if (event := json.loads(line))["event"] == "started":
                return str(event["http"]).removeprefix("http://")
    return None


def _status(address: str, path: str) -> int | None:
    connection = http.client.HTTPConnection(address, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def _processes_naming(path: Path) -> list[int]:
    """Processes that have this path on their command line; on Linux only, others do not show them as files."""
    found: list[int] = []
    if not LINUX:
        return found
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if str(path).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
