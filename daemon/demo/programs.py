"""The programs that no wheel brings (control planes, and what these need): where ``make servers`` has put them.

They are looked for in the folder of the user's cache that it fills (``VERDICTD_SERVERS`` chooses another), the newest of several
builds; a program that is not there may be on PATH as well. What is missing is told all at once, with how to get it.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from daemon.demo.children import DemoError


@dataclass(frozen=True, slots=True)
class _Program:
    """One of them: what its file is called, and what builds it."""

    binary: str
    made_by: str = "make servers"


_PROGRAMS = {
    "etcd": _Program("etcd"),
    "kube-apiserver": _Program("kube-apiserver"),
    "istiod": _Program("pilot-discovery"),
    "consul": _Program("consul", made_by="python -m tests.servers build consul"),
}


def program(name: str) -> Path:
    """The path of a program. Raises ``DemoError`` when it is not there."""
    require([name])
    found = _find(name)
    assert found is not None  # it would have been missing
    return found


def istio_definitions() -> Path:
    """The file with Istio's custom resource definitions, which is kept beside istiod. Raises ``DemoError`` when it is not there."""
    file = program("istiod").parent.parent / "crds" / "istio.yaml"
    if not file.is_file():
        raise _missing([f"the definitions of Istio's objects ({file})"], {_PROGRAMS["istiod"].made_by})
    return file


def require(names: Iterable[str]) -> None:
    """Raises ``DemoError`` with all of these programs that are not there, and how to get them."""
    if missing := [name for name in names if _find(name) is None]:
        raise _missing(missing, {_PROGRAMS[name].made_by for name in missing})


def environment(folder: Path) -> dict[str, str]:
    """A small one for such a program: no proxy, credential or setting of the user's changes what it does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "TMPDIR": str(folder)}


def cache() -> Path:
    """Where builds are kept, each in a folder of its own."""
    if chosen := os.environ.get("VERDICTD_SERVERS"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "verdictd" / "servers"


def _find(name: str) -> Path | None:
    """The newest build, else what is on PATH."""
    binary = _PROGRAMS[name].binary
    built = [path for path in cache().glob(f"{name}-[0-9]*/bin/{binary}") if path.is_file()]
    if built:
        return max(built, key=lambda path: path.stat().st_mtime)
    on_path = shutil.which(binary)
    return Path(on_path).absolute() if on_path else None


def _missing(what: Iterable[str], made_by: Iterable[str]) -> DemoError:
    how = " and ".join(f"`{command}`" for command in sorted(made_by))
    return DemoError(
        f"not on this machine: {', '.join(what)} (looked for in {cache()} and on PATH)",
        fix=f"run {how} in the repository, once (some ten minutes on two cores), and the demo again; "
        "`make demo` without a mesh needs none of them",
    )
