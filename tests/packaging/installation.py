"""The wheel, built from this checkout and installed where nothing else is: what a user gets, not what a developer has.

A process started here sees the environment of a container: a small set of variables, a folder to start in and a HOME that
nobody can write to. Root may write anywhere whatever the modes say, so where the tests run as root it gives that up first.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "requirements"
PACKAGES = ("analyzers", "config", "daemon")
COMMAND_SECONDS = 60.0
INSTALL_SECONDS = 240.0


def without_privileges() -> tuple[str, ...]:
    """Words to put before a command so that file modes hold for it; none where they hold anyway or it cannot be done."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 and setpriv else ()


@dataclasses.dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment that holds verdictd and its locked dependencies, and the empty places around it."""

    venv: Path
    wheel: Path
    nowhere: Path
    """A folder that cannot be written to. It holds modules named like our packages, which must not be imported."""
    sources: frozenset[str]
    """The files of our packages as the wheel was built."""

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def verdictd(self) -> Path:
        return self.venv / "bin" / "verdictd"

    def popen(self, *words: str | Path, log: Path) -> "subprocess.Popen[bytes]":
        """Starts a command; both its streams go to the log."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [*without_privileges(), *map(str, words)],
                cwd=self.nowhere,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def run(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Runs a command to its end."""
        return subprocess.run(
            [*without_privileges(), *map(str, words)],
            cwd=self.nowhere,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.nowhere),
            "TMPDIR": str(self.nowhere),
            "LANG": "C.UTF-8",
            "PYTHONSAFEPATH": "1",
        }


def install(folder: Path) -> Installation:
    """Builds and installs as the Dockerfile does: everything fetched has its hash in a lock, and nothing else is fetched."""
    venv, build, wheels, own = (folder / name for name in ("venv", "build", "wheels", "own"))
    _run(sys.executable, "-m", "venv", "--without-pip", build)
    _pip(build, "install", "--no-compile", "--require-hashes", "--only-binary", ":all:", "-r", LOCKS / "build.lock")
    making = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir")
    locked = ("--require-hashes", "--only-binary", ":all:", "--no-binary", "nkeys", "-r", LOCKS / "embedded.lock")
    _pip(build, *making, wheels, *locked)
    sources = _sources()
    _pip(build, *making, own, "--no-index", ROOT)
    (wheel,) = own.glob("*.whl")
    _run(sys.executable, "-m", "venv", "--without-pip", venv)
    _pip(venv, "install", "--no-index", "--no-deps", *wheels.glob("*.whl"), wheel)
    return Installation(venv, wheel, _nowhere(folder / "nowhere"), sources)


def _sources() -> frozenset[str]:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return frozenset(str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts)


def _nowhere(folder: Path) -> Path:
    folder.mkdir()
    for name in PACKAGES:
        (folder / f"{name}.py").write_text("raise RuntimeError('the folder that verdictd is started in shadows its packages')\n")
    folder.chmod(0o555)
    return folder


def _pip(venv: Path, *words: str | Path) -> None:
    """The pip of the tests' environment, at work in another one."""
    _run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", venv / "bin" / "python", *words)


def _run(*words: str | Path) -> None:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
