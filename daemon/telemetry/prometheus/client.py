"""The client for a Prometheus of the settings: one way to reach it, for those who watch and for those who read its past."""

from yarl import URL

from config.settings import PrometheusTelemetry
from daemon.aio.credentials import Credentials, Identity
from daemon.aio.httpclient import HttpClient, base_url
from daemon.aio.httpquestions import Questions
from daemon.aio.parsing import ParserPool


def prometheus_client(
    settings: PrometheusTelemetry,
    *,
    entry: str,
    address: str | None = None,
    pool: ParserPool,
    connections: int,
    keep_seconds: float = 15.0,
) -> tuple[HttpClient, URL]:
    """The client, to be closed by who uses it, and where it is to ask.

    Args:
        entry: where the settings stand, for refusals: ``telemetry.prometheus``.
        address: where the server's address stands, if not there.
        pool: where its answers are read.
        connections: open at the same time.
        keep_seconds: how long an idle connection is kept.

    Raises:
        InvalidInput: the settings cannot be honoured.
    """
    place = address or f"{entry}.url"
    url = base_url(settings.url, path=place)
    identity = Identity(
        Credentials(
            token_file=settings.token_file,
            username=settings.username,
            password_file=settings.password_file,
            ca_file=settings.ca_file,
            client_certificate_file=settings.client_certificate_file,
            client_key_file=settings.client_key_file,
            setting=entry,
        )
    )
    client = HttpClient(
        setting=place,
        ceiling_setting=f"{entry}.max_answer_bytes",
        connections=connections,
        timeout_seconds=settings.timeout_seconds,
        max_answer_bytes=settings.max_answer_bytes,
        pool=pool,
        headers=settings.headers,
        identity=identity,
        questions=Questions(method=settings.method, parameters=settings.query, setting=f"{entry}.method"),
        keep_seconds=keep_seconds,
    )
    return client, url
