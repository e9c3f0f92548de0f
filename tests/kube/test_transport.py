"""Where the credentials come from, and what is said when there are none."""

from pathlib import Path

import pytest

from config.settings import Kubernetes
from daemon.errors import Forbidden, NotFound, Refused, Unavailable
from daemon.kube.client import KubeClient
from daemon.kube.resources import PODS
from daemon.kube.transport import connect
from tests.hand.servers import says
from tests.kube.stub import kube_stub, write_kubeconfig


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster, no kubeconfig of the user's."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


async def test_without_any_credentials_it_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"KUBERNETES_SERVICE_HOST is not set.*\.kube/config.*set kubernetes\.kubeconfig"):
        await connect(Kubernetes())


@pytest.mark.parametrize("how", ["setting", "environment", "home"])
async def test_a_kubeconfig_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    path = tmp_path / ".kube" / "config"
    path.parent.mkdir()
    write_kubeconfig(path, port=1)
    if how == "environment":
        monkeypatch.setenv("KUBECONFIG", str(path))
    connection = await connect(Kubernetes(kubeconfig=str(path) if how == "setting" else None))
    assert connection.host == "http://127.0.0.1:1"
    await connection.close()


async def test_a_context_may_be_named_and_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "config"
    write_kubeconfig(path, port=1)
    await (await connect(Kubernetes(kubeconfig=str(path), context="stub"))).close()
    with pytest.raises(Refused, match="other"):
        await connect(Kubernetes(kubeconfig=str(path), context="other"))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"current-context": "x"}'])
async def test_a_broken_kubeconfig_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(Refused, match="cannot be used"):
        await connect(Kubernetes(kubeconfig=str(path)))


async def test_in_a_cluster_the_mounted_token_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for settings in (Kubernetes(), Kubernetes(auth="in-cluster")):
        with pytest.raises(Refused, match="token file"):
            await connect(settings)


async def test_a_kubeconfig_that_is_named_wins_over_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    path = tmp_path / "config"
    write_kubeconfig(path, port=1)
    connection = await connect(Kubernetes(kubeconfig=str(path)))
    assert connection.host == "http://127.0.0.1:1"
    await connection.close()


async def test_credentials_that_cannot_be_refreshed_are_an_error_of_ours(tmp_path: Path) -> None:
    async with kube_stub(tmp_path, says({})) as server:
        client = server.client()
        await client.connect()

        def hook(_configuration: object) -> None:
            raise FileNotFoundError("the token is gone")

        assert client._server._transport is not None
        client._server._transport._api.configuration.refresh_api_key_hook = hook
        with pytest.raises(Forbidden, match="the token is gone"):
            await client.get(PODS, name="a", namespace="b")
        await client.close()


async def test_a_client_that_never_connected_closes(tmp_path: Path) -> None:
    await KubeClient(Kubernetes()).close()


async def test_a_proxy_of_the_environment_is_gone_through_but_for_servers_that_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kube_stub(tmp_path, says({"items": []})) as proxy:
        path = tmp_path / "config"
        write_kubeconfig(path, port=1)  # nobody is there
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        kube = KubeClient(Kubernetes(kubeconfig=str(path)))
        await kube.list(PODS, namespace="shop")
        await kube.close()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        kube = KubeClient(Kubernetes(kubeconfig=str(path)))
        with pytest.raises(Unavailable):
            await kube.list(PODS, namespace="shop")
        await kube.close()
        assert len(proxy.tokens) == 1
