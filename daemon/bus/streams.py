"""The streams and buckets verdictd stands on, brought to what they must be.

What correctness needs (subjects, retention, storage, replicas, the duplicate window, what becomes of messages when there is no
room, that writes are acknowledged) is enforced at every start. How long and how much is kept is set when a stream is made and then
left to whoever runs the broker, but for what the settings say (``keep``): that is enforced as well.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nats.js import JetStreamContext, api
from nats.js.errors import APIError

from config.settings import Keep, KeepStream
from daemon.aio.backoff import pauses
from daemon.bus import subjects
from daemon.bus.natsclient import Denied
from daemon.bus.translating import translate, translated
from daemon.errors import Forbidden, InvalidInput, TransientError, Unavailable

logger = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
# Publications of one verdict this close together are told apart by the server; see publisher.
DUPLICATE_WINDOW_SECONDS = 3_600.0

NAME_IN_USE = 10058
IMPOSSIBLE_UPDATE = 10052
SUBJECTS_OVERLAP = 10065
REPLICAS_NOT_SUPPORTED = frozenset({10005, 10074})
JETSTREAM_NOT_ENABLED = frozenset({10039, 10076})
NO_STORAGE = frozenset({10002, 10047})


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """One stream. Ages in seconds; ``bucket`` streams keep one value per subject and no more.

    ``refuses``: when it is full it refuses new messages, and does not let go of old ones that nobody may have read. What we
    write ourselves lets go of its oldest. ``queue``: what was acknowledged goes. ``enforced``: limits that the settings say.
    """

    name: str
    subjects: tuple[str, ...]
    description: str
    max_age_seconds: float = 0.0
    max_bytes: int = -1
    bucket: bool = False
    refuses: bool = False
    queue: bool = False
    enforced: Mapping[str, float] = field(default_factory=dict)

    def config(self, *, replicas: int) -> api.StreamConfig:
        """As JetStream wants it."""
        made = api.StreamConfig(
            name=self.name,
            description=self.description,
            subjects=list(self.subjects),
            retention=api.RetentionPolicy.WORK_QUEUE if self.queue else api.RetentionPolicy.LIMITS,
            storage=api.StorageType.FILE,
            discard=api.DiscardPolicy.NEW if self.refuses else api.DiscardPolicy.OLD,
            num_replicas=replicas,
            max_age=self.max_age_seconds,
            max_bytes=self.max_bytes,
            max_msgs=-1,
            max_msgs_per_subject=1 if self.bucket else -1,
            duplicate_window=120.0 if self.bucket else DUPLICATE_WINDOW_SECONDS,
            allow_rollup_hdrs=self.bucket,
            deny_delete=self.bucket,
            allow_direct=True,
        )
        return made.evolve(**self.enforced)


def _bucket(name: str, description: str, *, max_age_seconds: float = 0.0) -> StreamPlan:
    return StreamPlan(
        name=f"KV_{name}",
        subjects=(f"$KV.{name}.>",),
        description=description,
        max_age_seconds=max_age_seconds,
        bucket=True,
        refuses=True,
    )


KEPT_AS_MADE = Keep()
# Promised by the server out of its disk when a stream is made, so these are no more than what months of use need.
MIB = 1024**2

PLANS = (
    StreamPlan(
        name=subjects.RELEASES,
        subjects=(subjects.RELEASE_SUBJECTS,),
        description="verdictd: deployment events, as they were announced",
        max_age_seconds=7 * DAY_SECONDS,
        max_bytes=64 * MIB,
        refuses=True,
    ),
    StreamPlan(
        name=subjects.VERDICTS,
        subjects=(subjects.VERDICT_SUBJECTS,),
        description="verdictd: one verdict per release",
        max_age_seconds=90 * DAY_SECONDS,
        max_bytes=256 * MIB,
    ),
    StreamPlan(
        name=subjects.REJECTED,
        subjects=(subjects.REJECTED_SUBJECT,),
        description="verdictd: events that could not be understood, with the reason",
        max_age_seconds=30 * DAY_SECONDS,
        max_bytes=64 * MIB,
    ),
    StreamPlan(
        name=subjects.COMMANDS,
        subjects=(subjects.COMMAND_SUBJECTS,),
        description="verdictd: a person's word about a running release",
        max_age_seconds=DAY_SECONDS,
        max_bytes=16 * MIB,
        refuses=True,
    ),
    StreamPlan(
        name=subjects.CDEVENTS,
        subjects=(subjects.CDEVENT_SUBJECTS,),
        description="verdictd: CDEvents about traffic that was taken back",
        max_age_seconds=30 * DAY_SECONDS,
        max_bytes=64 * MIB,
    ),
    StreamPlan(
        name=subjects.NOTICES,
        subjects=(subjects.NOTICE_SUBJECTS,),
        description="verdictd: verdicts on their way to channels, until each was told",
        max_age_seconds=7 * DAY_SECONDS,
        max_bytes=64 * MIB,
        refuses=True,
        queue=True,
    ),
    StreamPlan(
        name=subjects.AUDIT,
        subjects=(subjects.AUDIT_SUBJECTS,),
        description="verdictd: who said what, and what was done about traffic",
        max_age_seconds=90 * DAY_SECONDS,
        max_bytes=256 * MIB,
    ),
    _bucket(subjects.SESSIONS, "verdictd: running releases, as of their last tick"),
    _bucket(subjects.RECORDS, "verdictd: decision records", max_age_seconds=90 * DAY_SECONDS),
    _bucket(subjects.ROUTES, "verdictd: watched routes, as they were when they were last looked at, and open questions"),
)


def plans(keep: Keep) -> tuple[StreamPlan, ...]:
    """All streams, with the limits that the settings say."""
    said = {subjects.VERDICTS: keep.verdicts, subjects.AUDIT: keep.audit, f"KV_{subjects.RECORDS}": keep.records}
    return tuple(_kept(plan, said[plan.name]) if plan.name in said else plan for plan in PLANS)


def _kept(plan: StreamPlan, keep: KeepStream) -> StreamPlan:
    enforced: dict[str, float] = {}
    if keep.days is not None:
        enforced["max_age"] = keep.days * DAY_SECONDS
    if keep.bytes is None:
        return replace(plan, enforced=enforced)
    # A bucket that refused new records when it is full would keep the oldest.
    return replace(plan, enforced={**enforced, "max_bytes": keep.bytes}, refuses=False)


async def ensure_streams(jetstream: JetStreamContext, *, replicas: int, patience_seconds: float, keep: Keep = KEPT_AS_MADE) -> None:
    """Create what is missing and update what differs; does nothing when all is as it must be.

    A server that has just started may not answer yet: it is asked again for ``patience_seconds``.

    Raises:
        InvalidInput: the broker cannot give what the settings ask for, or somebody else's stream is in the way.
        Forbidden: our user lacks a right, which is named.
        Unavailable, TimedOut: JetStream did not answer.
    """
    waits = pauses()
    last: TransientError | None = None
    try:
        async with asyncio.timeout(patience_seconds):
            while True:
                try:
                    for plan in plans(keep):
                        await _ensure(jetstream, plan, replicas=replicas)
                except TransientError as error:
                    if isinstance(error.__cause__, Denied):
                        raise Forbidden(str(error)) from error
                    last = error
                    await asyncio.sleep(next(waits))
                else:
                    return
    except TimeoutError as error:
        raise Unavailable(f"JetStream is not usable: {last}") from error


async def _ensure(jetstream: JetStreamContext, plan: StreamPlan, *, replicas: int) -> None:
    wanted = plan.config(replicas=replicas)
    with translated(f"creating the stream {plan.name}"):
        try:
            await jetstream.add_stream(wanted)
        except APIError as error:
            if error.err_code != NAME_IN_USE:
                raise _refusal(error, plan, replicas) from error
            await _update(jetstream, plan, wanted)


async def _update(jetstream: JetStreamContext, plan: StreamPlan, wanted: api.StreamConfig) -> None:
    current = (await jetstream.stream_info(plan.name)).config
    if current.sealed:
        raise _unmendable(plan, "it is sealed, and takes no writes any more")
    merged = _merged(current, wanted, enforced=plan.enforced)
    if merged == current:
        return
    try:
        await jetstream.update_stream(merged)
    except APIError as error:
        if error.err_code == IMPOSSIBLE_UPDATE:
            raise _unmendable(plan, str(error.description)) from error
        raise _refusal(error, plan, wanted.num_replicas or 1) from error
    logger.info("stream updated", extra={"stream": plan.name})


def unlike(current: api.StreamConfig, plan: StreamPlan, *, replicas: int) -> bool:
    """Whether a stream that is there is not what it must be."""
    return _merged(current, plan.config(replicas=replicas), enforced=plan.enforced) != current


def set_right(current: api.StreamConfig, plan: StreamPlan) -> api.StreamConfig:
    """A stream that is in use, with what no daemon can do without put right.

    Nothing of it is what settings say, or a later version may say otherwise: daemons that differ in that may share a broker, and
    would have their own way by turns.
    """
    usable = _usable(current, plan.config(replicas=1))
    there, is_said = current.subjects or [], plan.name == f"KV_{subjects.RECORDS}"
    return usable.evolve(
        subjects=[*there, *(one for one in plan.subjects if one not in there)],
        discard=current.discard if is_said else usable.discard,
    )


def _merged(current: api.StreamConfig, wanted: api.StreamConfig, *, enforced: Mapping[str, float]) -> api.StreamConfig:
    """The current configuration with what correctness needs put right; other limits stay as the operator set them."""
    return _usable(current, wanted).evolve(
        subjects=wanted.subjects,
        storage=wanted.storage,
        sealed=wanted.sealed,
        num_replicas=wanted.num_replicas,
        **enforced,
    )


def _usable(current: api.StreamConfig, wanted: api.StreamConfig) -> api.StreamConfig:
    """The current configuration with what becomes of a message put right."""
    return current.evolve(
        retention=wanted.retention,
        subject_transform=wanted.subject_transform,
        discard=wanted.discard,
        discard_new_per_subject=wanted.discard_new_per_subject,
        no_ack=wanted.no_ack,
        max_msgs_per_subject=wanted.max_msgs_per_subject,
        duplicate_window=max(current.duplicate_window, wanted.duplicate_window),
        allow_direct=wanted.allow_direct,
    )


def _unmendable(plan: StreamPlan, reason: str) -> InvalidInput:
    return InvalidInput(
        f"the stream {plan.name} exists and cannot be made what verdictd needs: {reason}",
        path="nats.url",
        fix=f"move its messages away and delete it (nats stream rm {plan.name}), or use another account",
    )


def _refusal(error: APIError, plan: StreamPlan, replicas: int) -> Exception:
    if error.err_code == SUBJECTS_OVERLAP:
        return InvalidInput(
            f"another stream listens on {', '.join(plan.subjects)}, which {plan.name} needs",
            path="nats.url",
            fix="delete that stream or narrow its subjects, or use another account",
        )
    if error.err_code in REPLICAS_NOT_SUPPORTED:
        return InvalidInput(
            f"this NATS cannot keep {replicas} replicas ({error.description})",
            path="nats.replicas",
            fix="set it to the number of servers in the NATS cluster, or fewer",
        )
    if error.err_code in JETSTREAM_NOT_ENABLED:
        return InvalidInput(
            f"JetStream is not enabled: {error.description}",
            path="nats.url",
            fix="start nats-server with -js, and enable JetStream for the account",
        )
    if error.err_code in NO_STORAGE:
        promised = sum(one.max_bytes for one in PLANS if one.max_bytes > 0) // MIB
        return Unavailable(
            f"JetStream has no room for {plan.name} ({error.description}): the streams are made with {promised} MiB together, "
            "and it takes three quarters of a disk, unless max_file_store says otherwise; "
            "give nats.data_dir, or the server, a larger disk, or lower keep.verdicts.bytes and keep.audit.bytes"
        )
    return translate(error, f"creating the stream {plan.name}")
