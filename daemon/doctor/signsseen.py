"""What a store has beside the counts: whether the control plane works, and what would be known of what stands before an arm."""

from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.doctor.silence import unanswered
from daemon.doctor.stores import LOOK, MOST, Store
from daemon.errors import VerdictdError
from daemon.telemetry.prometheus.controlplanes import question
from daemon.telemetry.prometheus.query import quoted
from daemon.telemetry.prometheus.slowly import raw
from daemon.telemetry.signs import KIND, asked


async def examine(store: Store) -> list[Diagnosis]:
    """All of it."""
    try:
        return [*await _control_plane(store), *await _arm_signs(store)]
    except VerdictdError as error:
        return [unanswered(error, where=store.where)]


async def _control_plane(store: Store) -> list[Diagnosis]:
    """Which one answers, by the series in which it says so; and whether it works, by those that the daemon asks for."""
    if not store.build:
        return await _works(store)
    name = store.schema.name
    answer = await store.source.asked(f"topk({MOST},{store.build}){LOOK}")
    if not answer:
        fix = f"have {name}'s control plane scraped: while it is broken a canary cannot be told from it"
        return [Diagnosis(code=Code.CONTROL_PLANE_UNSEEN, where=store.where, found=f"there is no {store.build}", fix=fix)]
    tags = ", ".join(sorted({labels.get("tag") or labels.get("version") or "none" for labels, _, _ in answer}))
    found = f"{name}'s control plane answers; its version, by {store.build}: {tags}"
    return [Diagnosis(code=Code.CONTROL_PLANE, where=store.where, found=found), *await _works(store)]


async def _works(store: Store) -> list[Diagnosis]:
    """What the daemon would hold against it now."""
    plane = store.control_plane
    if plane is None or store.heeded == "ignored":
        return []
    values = {labels.get(KIND, ""): value for labels, _, value in await store.source.asked(question({"": plane}, store.matchers))}
    if "/alive" not in values:
        said = f"nothing tells whether {plane.name} works: there is no {plane.alive.replace('$these', '')}"
        return [Diagnosis(code=Code.CONTROL_PLANE_UNSEEN, where=store.where, found=said, fix=plane.install)]
    stands = [sign.signal(value) for sign in plane.signs if (value := values.get(f"/{sign.kind}")) is not None]
    broken = [one.words for one in stands if one.effect != "says"]
    if broken:
        means = "nothing is judged while it is so" if store.heeded == "excuses" else "it is said in verdicts, and no more"
        fix = f"mend it ({plane.name}'s log says more); where it is always so, set {store.where}.control_plane: says"
        return [Diagnosis(code=Code.CONTROL_PLANE_BROKEN, where=store.where, found=f"{'; '.join(broken)}: {means}", fix=fix)]
    said = f"{plane.name} works, as far as it is asked: {', '.join(sign.kind for sign in plane.signs)}"
    return [Diagnosis(code=Code.CONTROL_PLANE, where=store.where, found=said, more=tuple(one.words for one in stands))]


async def _arm_signs(store: Store) -> list[Diagnosis]:
    """Which signs of what stands before an arm can be seen here, and how to have the others."""
    mesh = store.arm_signs
    if mesh is None:
        return []
    these = "".join(f",{label}={quoted(value)}" for label, value in store.matchers.items())
    names = dict.fromkeys(sign.series for sign in mesh.signs)
    parts = [asked(f"count({{__name__={quoted(name)}{these}}})", kind=name) for name in names]
    there = {labels.get(KIND, "") for labels, _, _ in await store.source.asked(raw(parts))}
    seen = [sign.kind for sign in mesh.signs if sign.series in there]
    unseen = [sign for sign in mesh.signs if sign.series not in there]
    lines = [f"not {sign.kind}: there is no {sign.series}" for sign in unseen]
    lines += [f"to have them: {mesh.install[by]}" for by in dict.fromkeys(sign.by for sign in unseen)]
    said = f"beside the counts is seen what stands before an arm: {', '.join(seen) or 'nothing'}"
    return [Diagnosis(code=Code.SIGNALS, where=store.where, found=said, more=tuple(lines))]
