"""The examples for Argo Rollouts and Flagger against their own definitions on a real API server: every field is one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.pipelines.examples import documents
from tests.servers import locate
from tests.servers.crds import install_crds
from tests.servers.kube_apiserver import KubeApiServer, cluster

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("pipelines")]

EXAMPLES = [(name, document) for name in ("argo-rollouts.yaml", "flagger.yaml") for document in documents(name)]
PLURALS = {
    "AnalysisTemplate": "analysistemplates",
    "Rollout": "rollouts",
    "MetricTemplate": "metrictemplates",
    "Canary": "canaries",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    """A cluster that has both tools' definitions."""
    async with cluster(tmp_path_factory.mktemp("cluster")) as server:
        for name in ("argo-rollouts", "flagger"):
            await install_crds(server, locate.require_crds(name))
        yield server


async def created(api: KubeApiServer, document: dict[str, Any]) -> tuple[int, str]:
    """What the server says of it, strictly and without keeping it."""
    path = f"/apis/{document['apiVersion']}/namespaces/default/{PLURALS[document['kind']]}?dryRun=All&fieldValidation=Strict"
    metadata = {name: value for name, value in document["metadata"].items() if name != "namespace"}
    async with api.session() as admin, admin.post(path, json={**document, "metadata": metadata}) as response:
        return response.status, await response.text()


@pytest.mark.parametrize(("name", "document"), EXAMPLES, ids=[f"{document['kind']}-{name}" for name, document in EXAMPLES])
async def test_the_server_takes_the_example_as_it_is(api: KubeApiServer, name: str, document: dict[str, Any]) -> None:
    status, said = await created(api, document)
    assert status == 201, f"{name}: {said}"


async def test_a_field_that_is_none_is_refused(api: KubeApiServer) -> None:
    """Else the test above would show nothing."""
    _, document = EXAMPLES[-1]
    status, said = await created(api, {**document, "spec": {**document["spec"], "analyses": {}}})
    assert (status, "analyses" in said) == (400, True)
