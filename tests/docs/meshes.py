"""docs/meshes.md, made from the meshes' rows, and the table of rights in deploy/README.md, made from theirs and the owners'."""

from collections.abc import Iterable, Sequence
from typing import Any

from daemon.connectors import Connector
from daemon.delivery.gittoolkind import GitToolKind
from daemon.delivery.ownerkind import OwnerKind
from daemon.kube.rights import Right, Scope
from daemon.meshes.kind import MeshKind
from daemon.model import Protocol
from daemon.telemetry.schema import EnvoyStats, Schema

PAGE = "docs/meshes.md"
RIGHTS_PAGE = "deploy/README.md"

_BEGIN = "<!-- Made from the meshes' rows by `python -m tests.docs --write`. -->\n"
_END = "<!-- End of what is made. -->\n"

_INTRODUCTION = """# Meshes

<!-- Made from the meshes' rows by `python -m tests.docs --write`; do not edit. -->

A mesh is an entry under `meshes` in the settings, of one of these kinds; their keys are in [configuration.md](configuration.md).
"""

_OBSERVED = "not steered: releases are observed only"

_TELEMETRY = """A mesh that is not steered has no router: a release on it is watched and judged, and its verdict is told.
One whose policy enforces is refused with that reason, and `verdictd revert` says so too.

## Telemetry

A source under `telemetry` speaks one of these dialects (`dialect`), whichever way it is read.
A release says by `protocol` what is counted of it; one that its mesh's dialect does not count is refused with that reason.
Connections have no latency: a release of them is promoted on those that failed alone, and its verdict says so.
A policy that requires the slow end of latency to be shown is refused for it.
Where denials are not known, requests that policy denies count as served; where ages are not, a pod's warm-up is not waited for.
"""

_PROOF = """### What each dialect is proven on

The tests read some of it from proxies that run, the rest from pages and series in the form that such proxies wrote elsewhere.
"""

_ANOTHER = """## One of your own

A package that is installed in the same environment can add a kind, by an entry point of the group `verdictd.meshes`.
It names a `MeshKind` (`daemon/meshes/kind.py`):

```toml
[project.entry-points."verdictd.meshes"]
ours = "our_package.mesh:OURS"
```

`verdictd check`, `run` and `revert` know it from then on.
One that cannot be loaded is refused at once, with the package that brought it.
"""

_WHERE: dict[Scope, str] = {
    "everywhere": "everywhere",
    "watched": "namespaces bound to `verdictd-observe`",
    "enforced": "namespaces bound to `verdictd-enforce`",
}


def page(kinds: Sequence[MeshKind]) -> str:
    """The whole page."""
    rows = [f"| `{one.name}` | {one.routes or _OBSERVED} | {one.arms} | `{one.telemetry.name}` | {one.proven} |" for one in kinds]
    table = (
        "| kind | routes that can send traffic to the canary | an arm is known by | telemetry | proven on |\n|---|---|---|---|---|"
    )
    parts = [
        _INTRODUCTION,
        "\n".join([table, *rows]) + "\n",
        _TELEMETRY,
        _dialects(kinds),
        _PROOF,
        _proof(kinds),
        *_notes(kinds),
        "## Rights on the API server\n",
    ]
    for one in kinds:
        said = rights(one.rights) if one.rights else "None: there is no cluster that it asks.\n"
        parts.append(f"### `{one.name}`\n\n{said}")
    return "\n".join([*parts, _ANOTHER])


def _dialects(kinds: Iterable[MeshKind]) -> str:
    rows = [
        f"| `{name}` | {_counted(one)} | {_read_from(one)} | {_yes(bool(one.about.denials))} | {_yes(one.about.age is not None)} |"
        for name, one in {kind.telemetry.name: kind.telemetry for kind in kinds}.items()
    ]
    head = "| dialect | counts | read from | denials | ages of pods |\n|---|---|---|---|---|"
    return "\n".join([head, *rows]) + "\n"


def _proof(kinds: Sequence[MeshKind]) -> str:
    """What one kind says of a dialect holds for all that have it."""
    real, recorded = ({one.telemetry.name: "nothing" for one in kinds} for _ in range(2))
    for one in kinds:
        real[one.telemetry.name] = one.from_proxies or real[one.telemetry.name]
        recorded[one.telemetry.name] = one.from_records or recorded[one.telemetry.name]
    head = "| dialect | from a real proxy | in a recorded form |\n|---|---|---|"
    return "\n".join([head, *(f"| `{name}` | {real[name]} | {recorded[name]} |" for name in real)]) + "\n"


def _notes(kinds: Iterable[MeshKind]) -> Iterable[str]:
    for one in kinds:
        if one.notes:
            yield f"### Telemetry of `{one.name}`\n\n" + "".join(f"- {note}\n" for note in one.notes)


def _counted(schema: Schema) -> str:
    words: dict[Protocol, str] = {"http": "requests", "tcp": "connections"}
    return ", ".join(f"{words[protocol]} (`{protocol}`)" for protocol in schema.protocols)


def _read_from(schema: Schema) -> str:
    direct = {view.on_page for view in schema.views}
    where = "Prometheus" if True not in direct else "Prometheus; proxies" if direct == {True} else "Prometheus; proxies of who asks"
    return f"{where}; raw bins" if isinstance(schema.scrape, EnvoyStats) and schema.scrape.bins else where


def _yes(known: bool) -> str:
    return "known" if known else "not known"


def rights(found: Iterable[Right]) -> str:
    """A table of rights; what changes something is bold."""
    rows = []
    for one in found:
        what = f"{', '.join(one.verbs)} {', '.join(f'`{resource}`' for resource in one.resources)}"
        bold = f"**{what}**" if "enforced" in one.scopes else what
        rows.append(f"| {bold} | {_WHERE[one.scopes[0]]} | {one.purpose} |")
    return "| right | where | what for |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def with_rights(text: str, kinds: Iterable[MeshKind | OwnerKind | GitToolKind | Connector[Any]]) -> str:
    """A page with its table of rights as it must be; the page marks where it is."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    table = rights(dict.fromkeys(right for kind in kinds for right in kind.rights))
    return f"{before}{_BEGIN}\n{table}\n{_END}{after}"
