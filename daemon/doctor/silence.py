"""Why a source of telemetry gives no data, told by its cause: each has a code of its own, and its own mend."""

from dataclasses import dataclass
from typing import Final

from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.errors import (
    Failing,
    Forbidden,
    InvalidInput,
    NotFound,
    Partial,
    PermanentError,
    Redirected,
    Throttled,
    TimedOut,
    Unavailable,
    Unreadable,
    VerdictdError,
    WebPage,
)

SILENT: Final = frozenset(
    {
        Code.TELEMETRY_UNREACHABLE,
        Code.TELEMETRY_FORBIDDEN,
        Code.TELEMETRY_THROTTLED,
        Code.TELEMETRY_FAILING,
        Code.TELEMETRY_REDIRECTED,
        Code.TELEMETRY_NOT_DATA,
        Code.TELEMETRY_REFUSED,
        Code.TELEMETRY_PARTIAL,
    }
)
"""With these nothing can be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is asked, for words.

    Attributes:
        key: of its address, below the entry.
        page: what that is the address of.
        who: how it is shown who we are, each with the entry in the place of ``{where}``.
        slower: how it is asked less.
    """

    key: str
    page: str
    who: str
    slower: str


STORE: Final = Kind(
    key="url",
    page="what stands before /api/v1/query of a server that speaks as Prometheus",
    who="set {where}.token_file, or username and password_file, or client_certificate_file; a tenant stands in {where}.headers",
    slower="raise its limit of queries (for a tenant, where it has some), or ask it less often: {where}.tick_seconds",
)
PROXY: Final = Kind(
    key="endpoints",
    page="what stands before /stats of an Envoy, or the page of the mesh's proxy",
    who="let this machine read the page as it is: nothing is shown there; or have a Prometheus scrape it (kind: prometheus)",
    slower="raise the limit of what stands before it, or ask it less often: {where}.tick_seconds",
)


def unanswered(error: VerdictdError, *, where: str, of: Kind = STORE) -> Diagnosis:
    """Why a source does not answer, and which key mends it."""
    # A source words errors anew; what the client has said stands behind them.
    worded = type(error) is Unavailable and isinstance(error.__cause__, VerdictdError)
    reason = error.__cause__ if worded else error
    code, fix = _meant(reason, where, of)
    return Diagnosis(code=code, where=where, found=str(reason), fix=fix)


def _meant(reason: BaseException | None, where: str, of: Kind) -> tuple[Code, str]:
    """What kind of fault it is that a source does not answer for this reason, and what mends it."""
    address, who = f"{where}.{of.key}", of.who.format(where=where)
    match reason:
        case Forbidden():
            code, fix = Code.TELEMETRY_FORBIDDEN, who
        case Throttled():
            code, fix = Code.TELEMETRY_THROTTLED, of.slower.format(where=where)
        case Failing():
            behind = "502, 503 and 504 are mostly of a proxy that does not reach what is behind it"
            code, fix = Code.TELEMETRY_FAILING, f"mend the server, whose log says more; {behind}; {address} is where it stands"
        case Redirected():
            code, fix = Code.TELEMETRY_REDIRECTED, f"set {address} to the final address; where that is a login, {who}"
        case WebPage() | NotFound() | Unreadable() | InvalidInput():
            code, fix = Code.TELEMETRY_NOT_DATA, f"set {address} to {of.page}; where this is a login, {who}"
        case Partial():
            fix = "bring back the store behind it that does not answer, or take it out: what it has would be missed without a word"
            code = Code.TELEMETRY_PARTIAL
        case PermanentError():
            fix = f"do what it asks for, or set {address} to a server that takes such questions (docs/telemetry.md has which do)"
            code = Code.TELEMETRY_REFUSED
        case _:
            slow = f"; raise {where}.timeout_seconds where it is merely slow" if isinstance(reason, TimedOut) else ""
            fix = f"set {address} to where it answers, and let this machine reach it (NetworkPolicy, mTLS, firewall){slow}"
            code = Code.TELEMETRY_UNREACHABLE
    return code, fix
