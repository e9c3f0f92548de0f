"""The delivery pipeline of the demo. It knows of verdictd what any pipeline may know: one event out, one event in.

It gives a canary its share, announces that on NATS, and waits for the verdict on NATS. Only a promotion is its own work; a
bad canary is taken back by verdictd, without it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from nats.aio.msg import Msg

from daemon import names
from daemon.bus import subjects
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import Connection, connected
from daemon.bus.translating import translated
from daemon.demo.acts import CANARY_PERCENT, Act
from daemon.demo.children import START_SECONDS, DemoError
from daemon.demo.demomesh import DemoMesh
from daemon.demo.routes import NAMESPACE, SERVICE
from daemon.demo.watchdog import CLUSTER
from daemon.errors import VerdictdError
from daemon.events import cloudevents, verdicts
from daemon.events.announced import origin
from daemon.events.cloudevents import CloudEvent
from daemon.events.releaseform import RELEASE_TYPE
from daemon.model import Release, Verdict

_SOURCE = "/demo/pipeline"


def deployment_event(act: Act, *, mesh: DemoMesh, run: str) -> tuple[str, CloudEvent]:
    """The event that announces an act's canary, and the id its release will have.

    Args:
        mesh: where the canary is.
        run: tells the events of one run of the demo from those of another.
    """
    release = Release(
        service=SERVICE,
        namespace=NAMESPACE,
        mesh=mesh.name,
        baseline=mesh.arm(act.baseline),
        canary=mesh.arm(act.canary),
        weight=float(CANARY_PERCENT),
        artifact=f"demo/web:{act.canary}",
    )
    event_id = f"{run}-{act.canary}"
    event = CloudEvent(
        id=event_id,
        source=_SOURCE,
        type=RELEASE_TYPE,
        subject=f"{NAMESPACE}/{SERVICE}",
        time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        datacontenttype="application/json",
        data=msgspec.json.encode(release),
    )
    return names.new_release_id(SERVICE, origin=origin(_SOURCE, event_id)), event


class Pipeline:
    """A pipeline with its connection to the broker."""

    def __init__(self, connection: Connection, *, mesh: DemoMesh, run: str) -> None:
        self._connection = connection
        self._mesh = mesh
        self._run = run
        self._verdicts: asyncio.Queue[Verdict] = asyncio.Queue()

    async def listen(self) -> None:
        """Hear the service's verdicts from now on."""
        subject = subjects.verdict_subject(cluster=CLUSTER, namespace=NAMESPACE, service=SERVICE)
        with translated("listening for verdicts"):
            await self._connection.client.subscribe(subject, cb=self._hear)
            await self._connection.client.flush()

    async def announce(self, act: Act) -> str:
        """Publish the deployment event; returns when the broker has it. Gives the release's id."""
        release_id, event = deployment_event(act, mesh=self._mesh, run=self._run)
        headers, body = cloudevents.to_structured(event)
        subject = subjects.release_subject(cluster=CLUSTER, namespace=NAMESPACE, service=SERVICE)
        try:
            with translated("publishing the event"):
                await self._connection.jetstream.publish(subject, body, headers=headers)
        except VerdictdError as error:
            raise DemoError(f"the event could not be published: {error}", fix="run the demo again") from error
        return release_id

    async def verdict(self, release_id: str, *, seconds: float) -> Verdict:
        """Wait for the release's verdict. Raises ``DemoError`` when it does not come in time."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    verdict = await self._verdicts.get()
                    if verdict.release_id == release_id:
                        return verdict
        except TimeoutError as error:
            raise DemoError(
                f"no verdict on {release_id} came within {seconds:g} s",
                fix="look into logs/verdictd.log in the output folder, and report what is odd in it",
            ) from error

    async def _hear(self, message: Msg) -> None:
        event = cloudevents.read(message.headers or {}, message.data)
        if event is not None and event.type == verdicts.VERDICT_TYPE:
            self._verdicts.put_nowait(verdicts.read_verdict(event))


@asynccontextmanager
async def pipeline(nats_url: str, *, mesh: DemoMesh, run: str) -> AsyncIterator[Pipeline]:
    """A pipeline that listens, for the length of a ``with`` block."""
    async with connected(
        BrokerAddress(servers=(nats_url,)), name="verdictd demo", connect_timeout_seconds=START_SECONDS
    ) as connection:
        made = Pipeline(connection, mesh=mesh, run=run)
        await made.listen()
        yield made
