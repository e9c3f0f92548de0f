"""docs/install.md as a newcomer follows it: its own commands, on a real API server with istiod, Envoy and Prometheus.

There is no kubelet and no kubectl: what the pods would run is run as processes (``tests.mesh.kubelet``), and so is what
`kubectl exec` would run beside them.
"""

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.demo.children import child
from daemon.model import Action, Outcome
from tests.hand import istio_objects
from tests.hand.daemons import DaemonApi
from tests.mesh.istio_world import IstioWorld
from tests.mesh.kubelet import Program, get, laid_out, played_check
from tests.packaging.chart import NAMESPACE, asked, commands, helm, objects
from tests.servers.run import free_ports, until

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(300)]

logger = logging.getLogger(__name__)

EXEC = ("kubectl", "-n", NAMESPACE, "exec", "deploy/verdictd", "--", "verdictd")
PROMISED_SECONDS = 120.0
"""From the installation to the first verdict of a bad canary, as the page says."""


@contextlib.asynccontextmanager
async def running(world: IstioWorld, folder: Path, *, port: int) -> AsyncIterator[Program]:
    """The pod of the Deployment that Helm has made, as a process that is ready."""
    deployment = await get(world.api, f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/verdictd")
    program = await laid_out(
        world.api,
        deployment["spec"]["template"],
        namespace=NAMESPACE,
        folder=folder,
        addresses={"0.0.0.0:8484": f"127.0.0.1:{port}"},
    )
    async with child("verdictd", program.argv, log=folder / "verdictd.log", env=program.env):
        await DaemonApi(port=port).ready()
        yield replace(program, env={**program.env, "VERDICTD_SERVER": f"http://127.0.0.1:{port}"})


async def first(daemon: DaemonApi) -> str:
    """The id of the only release that is watched, once one is."""
    found: list[str] = []

    async def noticed() -> bool:
        found[:] = [one["id"] for one in json.loads(await daemon.until_answered("/v1/releases"))["releases"]]
        return bool(found)

    await until(noticed, within=60.0)
    (only,) = found
    return only


async def test_who_follows_the_page_gets_the_verdict_of_a_bad_canary_that_nobody_announced_in_the_time_that_it_promises(
    istio_world: IstioWorld, tmp_path: Path
) -> None:
    await istio_world.replace_spec(istio_objects.virtual_service(canary_weight=0)["spec"])
    kubeconfig = istio_world.api.write_kubeconfig(tmp_path / "kubeconfig")
    (install,) = commands("helm install")
    # Where Prometheus is, is the reader's to say.
    install = [re.sub(r"http://prometheus\S+", istio_world.prometheus_url, word) for word in install[1:]]
    (doctor, status, explain) = (words[len(EXEC) :] for words in commands(" ".join(EXEC)))
    (port,) = free_ports(1)
    async with istio_world.traffic(per_second=100.0), contextlib.AsyncExitStack() as stack:
        began = time.monotonic()
        async with asyncio.timeout(PROMISED_SECONDS):
            async with asyncio.TaskGroup() as both:
                installing = both.create_task(asyncio.to_thread(asked, *install, kubeconfig=kubeconfig))
                both.create_task(played_check(istio_world.api, namespace=NAMESPACE, folder=tmp_path / "check"))
            assert installing.result().returncode == 0, installing.result().stderr
            pod = await stack.enter_async_context(running(istio_world, tmp_path / "pod", port=port))
            code, found = await pod.also(*doctor).ended()
            assert code == 0, found
            istio_world.break_canary(error_rate=0.2)
            await istio_world.replace_spec(istio_objects.virtual_service(canary_weight=20)["spec"])
            daemon = DaemonApi(port=port)
            release_id = await first(daemon)
            record = await daemon.record(release_id, within=PROMISED_SECONDS)
        logger.info("from helm install to the verdict: %.1f s", time.monotonic() - began)
        _, shown = await pod.also(*status).ended()
        explained, account = await pod.also(*(release_id if word == "ID" else word for word in explain)).ended()
        answers, said = await (await what_helm_tests(istio_world, kubeconfig, tmp_path / "test", port=port)).ended()
        weights = await istio_world.weights()
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.NONE)
    assert weights == {"v1": 80, "v2": 20}
    assert "rollback (observed only)" in shown
    assert (explained, account.splitlines()[0].split()[:2]) == (0, ["ROLLBACK", "shop/web"])
    assert (answers, release_id in said) == (0, True)


async def what_helm_tests(world: IstioWorld, kubeconfig: Path, folder: Path, *, port: int) -> Program:
    """What `helm test` would run."""
    hooks = await asyncio.to_thread(helm, "get", "hooks", "verdictd", "--namespace", NAMESPACE, kubeconfig=kubeconfig)
    (pod,) = (each for each in objects(hooks) if each["kind"] == "Pod")
    addresses = {"http://verdictd:8484": f"http://127.0.0.1:{port}"}
    return await laid_out(world.api, pod, namespace=NAMESPACE, folder=folder, addresses=addresses)
