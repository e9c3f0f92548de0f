"""What is asked of a namespace's owners: once for all who want it, and kept for nobody."""

import asyncio
from typing import Any

import pytest

from config.settings import Kubernetes
from daemon.delivery.claimed import ByNamespace
from daemon.delivery.flagger import CANARIES
from daemon.errors import NotFound, Unavailable, VerdictdError
from daemon.kube.client import KubeClient, Listing
from daemon.kube.resources import Resource


class Listed(KubeClient):
    """Answers with an object of the namespace's name, or with an error, once ``answers`` is set."""

    def __init__(self, error: VerdictdError | None = None) -> None:
        super().__init__(Kubernetes())
        self.answers = asyncio.Event()
        self.asked: list[str | None] = []
        self._error = error

    async def list(self, resource: Resource, *, namespace: str | None = None, **_: Any) -> Listing:
        assert resource is CANARIES
        self.asked.append(namespace)
        await self.answers.wait()
        if self._error is not None:
            raise self._error
        return Listing(items=({"metadata": {"name": namespace}},), resource_version="1")


async def test_those_who_ask_at_the_same_time_share_one_question() -> None:
    kube = Listed()
    kube.answers.set()
    canaries = ByNamespace(kube, CANARIES)
    answers = await asyncio.gather(*(canaries.of("shop") for _ in range(5)))
    assert [one[0]["metadata"]["name"] for one in answers] == ["shop"] * 5
    assert kube.asked == ["shop"]


@pytest.mark.parametrize("error", [None, NotFound("canaries"), Unavailable("away")], ids=repr)
async def test_of_a_namespace_that_nobody_asks_about_any_more_nothing_is_kept(error: VerdictdError | None) -> None:
    kube = Listed(error)
    kube.answers.set()
    canaries = ByNamespace(kube, CANARIES)
    for number in range(3):
        await asyncio.gather(canaries.of(f"preview-{number}"), canaries.of(f"preview-{number}"), return_exceptions=True)
    assert kube.asked == ["preview-0", "preview-1", "preview-2"]
    assert not canaries._asking


async def test_one_who_gives_up_takes_the_question_from_nobody_else() -> None:
    kube = Listed()
    canaries = ByNamespace(kube, CANARIES)
    impatient, patient = (asyncio.create_task(canaries.of("shop")) for _ in range(2))
    while not kube.asked:
        await asyncio.sleep(0)
    late = asyncio.create_task(canaries.of("shop"))
    impatient.cancel()
    await asyncio.wait([impatient])
    assert list(canaries._asking) == ["shop"]
    kube.answers.set()
    assert [one["metadata"]["name"] for task in (patient, late) for one in await task] == ["shop", "shop"]
    assert not canaries._asking
