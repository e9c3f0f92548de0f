"""Proxies that are asked themselves: whether each of them answers, and of whom it has counters, before any release is named."""

from collections import Counter
from collections.abc import Mapping

from yarl import URL

from config.settings import EnvoyTelemetry
from daemon.aio.clock import Clock
from daemon.aio.httpclient import HttpClient, base_url
from daemon.aio.parsing import ParserPool
from daemon.aio.tasks import TaskGroup
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.doctor.silence import PROXY, unanswered
from daemon.doctor.stores import MOST, service_labels
from daemon.errors import VerdictdError
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.series import SampleKind, Series, SeriesIndex
from daemon.telemetry.factory import page_of, proxies_client
from daemon.telemetry.schema import Schema, View
from daemon.telemetry.scrape.source import Page, question
from daemon.telemetry.scrape.targets import ScrapeStamp


class _Heard(SeriesIndex):
    """The series of pages, and how many of requests there are of whom, in each view."""

    def __init__(self, schema: Schema, *, as_text: bool = False, direct: bool = False) -> None:
        super().__init__(schema, as_text=as_text, direct=direct)
        self.of: dict[View, Counter[str]] = {}

    def learn(self, key: object, name: str, labels: Mapping[str, str]) -> Series | None:
        """See ``SeriesIndex.learn``."""
        series = super().learn(key, name, labels)
        if series is not None and series.kind is SampleKind.COUNTER:
            for view in series.label_set.views:
                if name == view.requests:
                    whose = "/".join(labels.get(label, "none") for label in service_labels(view))
                    self.of.setdefault(view, Counter())[whose] += 1
        return series


async def examine(entry: EnvoyTelemetry, *, schema: Schema, name: str, clock: Clock, pool: ParserPool) -> list[Diagnosis]:
    """Ask each of them once. ``name`` is the entry's; raises ``InvalidInput``: its settings cannot be honoured."""
    where, setting = f"telemetry.{name}", f"telemetry.{name}.endpoints"
    urls = [base_url(text, path=f"{setting}[{number}]") for number, text in enumerate(entry.endpoints)]
    index, page = page_of(entry, schema, _Heard)
    assert isinstance(index, _Heard)
    async with proxies_client(entry, setting=setting, name=name, pool=pool) as client, TaskGroup() as group:
        asked = [group.create_task(_ask(client, url, page, schema=schema, clock=clock)) for url in urls]
    failed = {url: error for url, task in zip(urls, asked, strict=True) if (error := task.result()) is not None}
    found = [unanswered(error, where=where, of=PROXY) for error in failed.values()]
    if len(failed) < len(urls):
        found += _heard(index, schema, where=where, answered=len(urls) - len(failed))
    return found


async def _ask(client: HttpClient, url: URL, page: Page, *, schema: Schema, clock: Clock) -> VerdictdError | None:
    """Read one page. Why it could not be, if so."""
    target = f"{url.host}:{url.port}"
    stamp = ScrapeStamp(target=target, pod=target, at=clock.monotonic(), spacing_seconds=1.0)
    address = url.with_path(page.path).with_query(question(page, schema))
    try:
        await client.read(address, lambda: page.reader(Collection(), stamp))
    except VerdictdError as error:
        return error
    return None


def _heard(index: _Heard, schema: Schema, *, where: str, answered: int) -> list[Diagnosis]:
    """Of whom the pages have counters, in each view of which there are any."""
    proxies = f"{answered} {'proxy' if answered == 1 else 'proxies'}"
    if not index.of:
        wanted = ", ".join(dict.fromkeys(view.requests for view in schema.views))
        fix = (
            "send requests through them, since proxies show what they have counted and nothing before it; "
            f"else set {where}.endpoints to the proxies that the requests go through, and {where}.dialect to whose they are"
        )
        return [Diagnosis(code=Code.NO_SERIES, where=where, found=f"{proxies} answered, and none shows {wanted}", fix=fix)]
    found = []
    for view, names in index.of.items():
        said = f"{proxies} answered: {view.requests} has {len(names)} values of {'/'.join(service_labels(view))}"
        lines = tuple(f"{whose}: {count} series" for whose, count in sorted(names.items())[:MOST])
        more = (f"and {len(names) - MOST} more",) if len(names) > MOST else ()
        found.append(Diagnosis(code=Code.SERIES, where=where, found=said, more=(*lines, *more)))
    return found
