"""docs/modules.md, the list of all modules, made from their docstrings; and the modules that nothing imports, which are dead."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

PAGE = "docs/modules.md"
PACKAGES = ("config", "analyzers", "daemon")
_DEAD = "imported by nothing of the product: use it or remove it"

_INTRODUCTION = """# Modules

<!-- Made from the modules' docstrings by `python -m tests.docs --write`; do not edit. -->

What each module is for, in the first words of its docstring.
How they work together is told in [ARCHITECTURE.md](../ARCHITECTURE.md), why they are as they are in [decisions.md](decisions.md).
"""


def modules(root: Path) -> dict[Path, ast.Module]:
    """Every module with anything in it, by its path in the project."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if tree.body:
                found[path.relative_to(root)] = tree
    return found


def page(root: Path) -> str:
    """The list as a document: a table for each folder, the folder's own docstring above it."""
    folders: dict[Path, list[str]] = {}
    heads: dict[Path, str] = {}
    for path, tree in modules(root).items():
        said = _summary(tree)
        if path.name == "__init__.py":
            heads[path.parent] = said
        elif path.name != "__main__.py":
            folders.setdefault(path.parent, []).append(f"| `{path.name}` | {said} |")
    parts = [_INTRODUCTION]
    for folder in sorted({*folders, *heads}):
        parts.append(f"## `{folder.as_posix()}/`\n")
        if folder in heads:
            parts.append(f"{heads[folder]}\n")
        if folder in folders:
            parts.append("\n".join(["| module | what it is for |", "|---|---|", *folders[folder]]) + "\n")
    return "\n".join(parts)


def faults(root: Path) -> Iterator[str]:
    """Modules without a docstring, and those that nothing of the product imports, starts or names."""
    found = modules(root)
    used = {*_scripts(root), *_named(found)}
    for path, tree in found.items():
        if not _summary(tree):
            yield f"{path} has no docstring: what is it for?"
        if path.name not in {"__init__.py", "__main__.py"} and _name(path) not in used:
            yield f"{path} is {_DEAD}"


def _summary(tree: ast.Module) -> str:
    """The first paragraph of a docstring in one line, without what only introduces the next."""
    first = (ast.get_docstring(tree) or "").split("\n\n")[0]
    line = " ".join(first.split()).replace("``", "`").replace("|", "\\|")
    return re.sub(r" [^.]*:$", "", line)


def _named(found: Mapping[Path, ast.Module]) -> Iterator[str]:
    """Names that are imported, or strings by themselves: a process is started by one, a command imported when it is chosen."""
    for path, tree in found.items():
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    yield from (one.name for one in names)
                case ast.ImportFrom(module=str(module), names=names):
                    yield from (module, *(f"{module}.{one.name}" for one in names))
                case ast.Constant(value=str(text)):
                    yield from {text, f"{_name(path.parent)}.{text}"} - {_name(path)}
                case _:
                    pass


def _scripts(root: Path) -> Iterator[str]:
    project = root / "pyproject.toml"
    scripts = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["scripts"] if project.exists() else {}
    yield from (str(target).partition(":")[0] for target in scripts.values())


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)
