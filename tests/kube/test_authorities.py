"""An API server whose authority is renewed while we run, over real TLS: what the files name now is trusted, and nobody else."""

import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from daemon.kube.resources import PODS
from daemon.kube.transport import Untrusted
from tests.hand.certificates import Authority
from tests.hand.servers import app_of, says
from tests.kube.stub import client_of, write_kubeconfig


@contextlib.asynccontextmanager
async def secured(authority: Authority, *, port: int = 0) -> AsyncIterator[int]:
    """A server that shows a certificate of this authority; gives its port."""
    pair = authority.signed("apiserver", usage="serverAuth")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    runner = web.AppRunner(app_of(says({"n": 1})), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("named", ["in a file", "in the kubeconfig"])
async def test_an_authority_that_is_renewed_is_read_anew_and_the_request_sent_again(named: str, tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    kubeconfig, file = tmp_path / "kubeconfig.json", tmp_path / "ca.pem"

    def trust(authority: Authority) -> None:
        file.write_bytes(authority.pair.certificate.read_bytes())
        if named == "in a file":
            write_kubeconfig(kubeconfig, port=port, scheme="https", **{"certificate-authority": str(file)})
        else:
            data = base64.b64encode(file.read_bytes()).decode()
            write_kubeconfig(kubeconfig, port=port, scheme="https", **{"certificate-authority-data": data})

    async with secured(old) as port:
        trust(old)
        client = client_of(kubeconfig)
        assert await client.get(PODS, name="a", namespace="b") == {"n": 1}
    async with secured(new, port=port):
        trust(new)
        assert await client.get(PODS, name="a", namespace="b") == {"n": 1}
    await client.close()


async def test_an_authority_that_no_file_names_is_not_trusted_nor_asked_for_without_end(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    kubeconfig = tmp_path / "kubeconfig.json"
    async with secured(new) as port:
        write_kubeconfig(kubeconfig, port=port, scheme="https", **{"certificate-authority": str(old.pair.certificate)})
        client = client_of(kubeconfig)
        for _ in range(2):
            with pytest.raises(Untrusted, match=r"certificate verify failed.*let the kubeconfig name who signed it"):
                await client.get(PODS, name="a", namespace="b")
        await client.close()
