"""One authenticated way to the API server, on kubernetes_asyncio's rest layer.

Of kubernetes_asyncio we use the reading of credentials and the HTTP session, nothing above: its typed clients choose the
wrong content type for patches, and its dynamic client and its watch do not look at the status. Importing it takes 0.8 s,
so it happens in a thread, at the first connection.
"""

import asyncio
import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml

from config.settings import Kubernetes
from daemon.errors import Forbidden, NotFound, Refused, TimedOut, Unavailable

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_CONNECT_SECONDS = 3.0
_READ_BYTES = 2 * 1024 * 1024
"""A line of a watch, which is an object, is to fit into it."""

QUESTIONS = 100
"""Connections for everything that is answered at once."""
WATCHES = 500
"""And those for watches, each of which holds one for minutes: were they of the same pool, a hundred of them would be all of it, and
no patch of a revert would ever get one."""


class Untrusted(Unavailable):
    """Whoever answers shows no certificate of an authority that we know. Nothing was sent."""


class Transport:
    """An open session with credentials that refresh themselves, and one for watches. Made by ``connect``.

    ``watches``: the rest layer of the latter.
    """

    def __init__(self, api_client: Any, *, watches: Any) -> None:
        self._api = api_client
        self._watches = watches

    @property
    def host(self) -> str:
        """The API server's base URL."""
        return str(self._api.configuration.host)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]],
        read_seconds: float,
        total_seconds: float | None,
        body: object = None,
        content_type: str = "application/json",
        watch: bool = False,
    ) -> aiohttp.ClientResponse:
        """Send one request and return the answer's head, whatever its status; the caller reads and releases it.

        ``watch``: its answer goes on for minutes.

        Raises:
            TimedOut: connecting, or waiting for the next bytes, took too long.
            Untrusted: it could not be secured.
            Unavailable: there was no connection, or it broke.
            Forbidden: fresh credentials could not be had.
        """
        headers = {**self._api.default_headers, "Accept": "application/json", "Content-Type": content_type}
        parameters = list(query)
        try:
            await self._api.update_params_for_auth(headers, parameters, ["BearerToken"])
        except Exception as error:  # plug-ins and token files raise whatever they like
            raise Forbidden(f"no credentials for {self.host}: {error}") from error
        timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=_CONNECT_SECONDS, sock_read=read_seconds)
        rest = self._watches if watch else self._api.rest_client
        try:
            response: aiohttp.ClientResponse = await rest.request(
                method,
                self.host + path,
                query_params=parameters,
                headers=headers,
                body=body,
                _preload_content=False,
                _request_timeout=timeout,
            )
        except TimeoutError as error:
            raise TimedOut(f"{method} {path}: no answer in time") from error
        except aiohttp.ClientSSLError as error:
            raise Untrusted(f"{method} {path}: {error}; let the kubeconfig name who signed it, which is read anew") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{method} {path}: {str(error) or type(error).__name__}") from error
        return response

    async def close(self) -> None:
        """Close both sessions."""
        await self._watches.close()
        await self._api.close()


async def connect(settings: Kubernetes) -> Transport:
    """Read the credentials and open a session.

    Raises:
        NotFound: there are no credentials where the settings say.
        Refused: they cannot be used.
    """
    kubernetes = await asyncio.to_thread(_import)
    configuration = kubernetes.client.Configuration()
    try:
        match _source(settings):
            case "in-cluster":
                kubernetes.config.load_incluster_config(client_configuration=configuration)
            case path:
                await kubernetes.config.load_kube_config(
                    config_file=path, context=settings.context, client_configuration=configuration
                )
        configuration.proxy = configuration.proxy or _proxy_for(configuration.host)
        configuration.connection_pool_maxsize = QUESTIONS
        # Building these reads certificates from files, and cannot be made in a thread: a session wants the loop.
        api = kubernetes.client.ApiClient(configuration)
        watches = kubernetes.client.rest.RESTClientObject(configuration, maxsize=WATCHES)
    except (kubernetes.config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError) as error:
        raise Refused(f"the credentials for Kubernetes cannot be used: {error}") from error
    for rest in (api.rest_client, watches):
        _take_session(rest)
    return Transport(api, watches=watches)


def _take_session(rest: Any) -> None:
    """Give the rest layer a session of ours on its connector.

    Its own follows redirects, and cannot be told not to elsewhere; and it asks the environment for a proxy and ``~/.netrc`` for a
    password at every question, each in a thread, which a revert would have to wait for.
    """
    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_refuse_redirect)
    theirs: aiohttp.ClientSession = rest.pool_manager
    rest.pool_manager = aiohttp.ClientSession(connector=theirs.connector, trace_configs=[tracing], read_bufsize=_READ_BYTES)
    theirs.detach()


def _proxy_for(host: str) -> str | None:
    """What the environment says of a proxy for this server: ``HTTPS_PROXY`` and ``NO_PROXY``, in either case."""
    parts = urlsplit(host)
    if urllib.request.proxy_bypass_environment(parts.hostname or ""):  # type: ignore[attr-defined]  # typeshed lacks it
        return None
    return urllib.request.getproxies_environment().get(parts.scheme)


async def _refuse_redirect(_session: aiohttp.ClientSession, _context: object, seen: aiohttp.TraceRequestRedirectParams) -> None:
    seen.response.close()
    raise Refused(
        f"{seen.method} {seen.url.path}: the API server answered {seen.response.status}; redirects are not followed: "
        "put its own address into the kubeconfig"
    )


def _source(settings: Kubernetes) -> str:
    """``in-cluster`` or the path of a kubeconfig."""
    if settings.auth == "in-cluster" or (settings.auth == "auto" and settings.kubeconfig is None and os.environ.get(_IN_CLUSTER)):
        return "in-cluster"
    path = settings.kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(part).is_file() for part in path.split(os.pathsep) if part):
        raise NotFound(
            f"no credentials for Kubernetes: not in a cluster ({_IN_CLUSTER} is not set) and there is no file {path}; "
            "set kubernetes.kubeconfig"
        )
    return path


def _import() -> Any:
    import kubernetes_asyncio  # takes 0.8 s, see the module's docstring

    return kubernetes_asyncio
