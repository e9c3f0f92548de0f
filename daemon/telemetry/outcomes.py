"""How requests ended: a mesh's labels read by a policy's word for what counts as a failure.

The one decision: counters are asked for as they are, and classified here, each release's by its own policy. So one query serves
releases whose policies differ, and what a series means under a policy is worked out once.

A label that is absent is no good news. Where the policy needs one that a series lacks, its requests are ``UNCLASSIFIED``: they
have not failed as far as is known, and promote nobody. Flags alone are made up for: without them a request that got no response
is held against the baseline's share of those, be it the client or the server that went.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, get_args

from config.policy import Counted, Failures, GrpcStatus
from daemon.telemetry.schema import Begins, Ended, Is, Lists, Rule, Schema, Test, Told, holds

GONE_FLAG: Final = "DC"
_ENDED: Final[Mapping[Counted, Ended]] = {
    "failures": Ended.FAILED,
    "unanswered": Ended.UNANSWERED,
    "excused": Ended.EXCUSED,
}
_GRPC_NUMBERS: Final[Mapping[str, str]] = {name: str(number) for number, name in enumerate(get_args(GrpcStatus), start=1)}
_USUAL: Final = Failures()


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """What the labels of a series say of how its requests ended; the same for all series that say the same.

    ``ended``: whatever the policy, where its counter counts nothing else.
    """

    labels: Mapping[str, str]
    ended: Ended | None = None


class Outcomes:
    """How requests ended under one policy, by one mesh's telemetry.

    Attributes:
        rules: the first that holds says so; where none does they were served.
        split: latency histograms carry the same labels.
        missing: labels without which requests were not classified so far.
    """

    def __init__(self, schema: Schema, failures: Failures) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules_of(schema, failures))
        self.split = schema.split
        self.missing: set[str] = set()
        self._known: dict[Ending, Ended] = {}

    def of(self, ending: Ending) -> Ended:
        """How the requests ended of the series with these labels."""
        if ending.ended is not None:
            return ending.ended
        found = self._known.get(ending)
        if found is None:
            rule = self._rule(ending.labels)
            found = self._known[ending] = Ended.SERVED if rule is None else rule.ended
        return found

    def counted(self, ending: Ending) -> Ended:
        """The same of a counter; where it does not say, what it lacks is noted. Latencies of many meshes never say."""
        ended = self.of(ending)
        if ended is Ended.UNCLASSIFIED and (rule := self._rule(ending.labels)) is not None:
            self.missing |= {test.label for test in rule.when if isinstance(test, Is) and test.values == ("",)}
        return ended

    def forget(self) -> None:
        """Forget what was worked out: its series have gone."""
        self._known.clear()

    def _rule(self, labels: Mapping[str, str]) -> Rule | None:
        return next((rule for rule in self.rules if all(holds(test, labels) for test in rule.when)), None)


def ending_labels(schema: Schema) -> tuple[str, ...]:
    """The labels that may say how a request ended, whatever the policy."""
    told = schema.told or Told()
    named = {told.status, told.status_class, told.grpc, told.flags}
    named |= {test.label for test in (told.speaks_grpc, told.mirrored) if test is not None}
    named |= {test.label for rule in schema.outcome for test in rule.when}
    return tuple(sorted(label for label in named if label is not None))


def rules_of(schema: Schema, failures: Failures) -> Iterator[Rule]:
    """The rules of a policy over a mesh's labels, and the mesh's own."""
    told = schema.told
    if told is None:
        yield from schema.outcome
        return
    yield from _excused(told, failures)
    if told.flags is not None and failures.flags:
        yield _rule(Ended.FAILED, Lists(told.flags, failures.flags))
    yield from _without_response(told, failures)
    own = [_own(rule, told, failures) for rule in schema.outcome]
    yield from (rule for rule in own if rule.ended is Ended.REFUSED)
    if told.grpc is not None and failures.grpc_status:
        yield _rule(Ended.FAILED, Is(told.grpc, tuple(_GRPC_NUMBERS[name] for name in failures.grpc_status)))
    yield from (rule for rule in own if rule.ended is not Ended.REFUSED)
    yield from _statuses(told, failures)
    yield from _not_told(told, failures)


def _rule(ended: Ended, *when: Test) -> Rule:
    return Rule(when=when, ended=ended)


def _absent(label: str) -> Is:
    return Is(label, ("",))


def _excused(told: Told, failures: Failures) -> Iterator[Rule]:
    if told.flags is not None and failures.excused_flags:
        yield _rule(Ended.EXCUSED, Lists(told.flags, failures.excused_flags))
    if told.mirrored is not None and failures.mirrored == "excused":
        # Before all others: a failure that may be a copy's convicts nobody either.
        yield _rule(Ended.UNCLASSIFIED, _absent(told.mirrored.label))
        yield _rule(Ended.EXCUSED, told.mirrored)


def _without_response(told: Told, failures: Failures) -> Iterator[Rule]:
    if told.status is None or told.flags is None:
        return
    gave_up, reset = _ENDED[failures.gave_up], _ENDED[failures.resets]
    client_went = Lists(told.flags, (GONE_FLAG,))
    yield _rule(gave_up, Is(told.status, told.gone), client_went)
    if told.grpc is not None and told.speaks_grpc is not None:
        yield _rule(gave_up, told.speaks_grpc, _absent(told.grpc), client_went)
    # Whose fault it was is not told: both arms' shares are held against each other.
    yield _rule(gave_up if gave_up is reset else Ended.UNANSWERED, Is(told.status, told.none), _absent(told.flags))
    yield _rule(reset, Is(told.status, told.none))


def _own(rule: Rule, told: Told, failures: Failures) -> Rule:
    """A rule of the mesh's own: where the policy counts as failed what was forbidden, so it is."""
    if rule.ended is not Ended.FORBIDDEN:
        return rule
    codes = [value for test in rule.when if isinstance(test, Is) and test.label == told.status for value in test.values]
    grpc = [value for test in rule.when if isinstance(test, Is) and test.label == told.grpc for value in test.values]
    fails = any(_fails(failures, code) for code in codes)
    fails = fails or not {_GRPC_NUMBERS[name] for name in failures.grpc_status}.isdisjoint(grpc)
    return _rule(Ended.REFUSED, *rule.when) if fails else rule


def _fails(failures: Failures, code: str) -> bool:
    for status in (int(code), f"{code[0]}xx"):
        if status in failures.not_status or status in failures.status:
            return status not in failures.not_status
    return False


def _statuses(told: Told, failures: Failures) -> Iterator[Rule]:
    """Codes before classes, so that one that is named by itself counts whatever is said of its class."""
    both = ((failures.not_status, Ended.SERVED), (failures.status, Ended.FAILED))
    for statuses, ended in both:
        codes = tuple(str(status) for status in statuses if isinstance(status, int))
        if codes and told.status is not None:
            yield _rule(ended, Is(told.status, codes))
    for statuses, ended in both:
        classes = tuple(status[0] for status in statuses if isinstance(status, str))
        if classes and (label := told.status or told.status_class) is not None:
            yield _rule(ended, Begins(label, classes))


def _not_told(told: Told, failures: Failures) -> Iterator[Rule]:
    """Of requests for which nothing bad was found: what would have to be there to call them served."""
    status = told.status or told.status_class
    if told.grpc is not None and told.speaks_grpc is not None and failures.grpc_status:
        yield _rule(Ended.UNCLASSIFIED, told.speaks_grpc, _absent(told.grpc))
    if status is not None and (failures.status or failures.not_status):
        also = () if told.grpc is None else (_absent(told.grpc),)
        yield _rule(Ended.UNCLASSIFIED, _absent(status), *also)
    if told.flags is not None and failures.flags:
        yield _rule(Ended.UNCLASSIFIED, _absent(told.flags))


def cannot_tell(schema: Schema, failures: Failures) -> tuple[str, ...]:
    """What a policy asks for beyond the usual and this telemetry never tells: a sentence each, with the field and what to do."""
    told, found = schema.told or Told(), []
    name = f"{schema.name} telemetry"
    statuses = (("status", failures.status, _USUAL.status), ("not_status", failures.not_status, _USUAL.not_status))
    for field, asked, usual in statuses:
        codes = [status for status in asked if isinstance(status, int)]
        if codes and told.status is None and told.status_class is not None:
            found.append(f"failures.{field}: {name} has classes only and cannot tell {codes[0]}; write {str(codes[0])[0]}xx")
        elif asked != usual and told.status is None and told.status_class is None:
            found.append(f"failures.{field}: {name} says itself what failed, and no status; leave it out")
    if failures.grpc_status != _USUAL.grpc_status and told.grpc is None:
        found.append(f"failures.grpc_status: {name} has none; leave it out")
    if told.flags is None:
        of_flags = ("flags", "excused_flags", "resets", "gave_up")
        unusual = [field for field in of_flags if getattr(failures, field) != getattr(_USUAL, field)]
        found += [f"failures.{field}: {name} has no response flags; leave it out" for field in unusual]
    if failures.mirrored != _USUAL.mirrored and told.mirrored is None:
        found.append(f"failures.mirrored: {name} cannot tell copies from other requests; leave it out")
    return tuple(found)
