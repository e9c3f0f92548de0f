"""Meshes that are steered over the HTTP API of a server of their own: where that is, and who we are to it."""

from typing import Annotated

from msgspec import Meta

from config.settings import BaseUrl, FileName, Mesh, Positive
from daemon.aio.credentials import Credentials, Identity


class HttpMesh(Mesh, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every mesh is told that is steered over HTTP."""

    address: BaseUrl
    token_file: Annotated[FileName | None, Meta(description="A file holding an ACL token, read anew for each request.")] = None
    ca_file: Annotated[FileName | None, Meta(description="PEM bundle to trust in place of the system's; read anew too.")] = None
    client_certificate_file: Annotated[
        FileName | None, Meta(description="PEM: what we show where it asks for certificates; read anew when it changes.")
    ] = None
    client_key_file: Annotated[
        FileName | None, Meta(description="PEM: its key, without a passphrase; default: it stands in client_certificate_file too.")
    ] = None
    request_timeout_seconds: Annotated[Positive, Meta(description="Longest wait for an answer.")] = 5.0

    def __post_init__(self) -> None:
        """Refuse a key that nothing would be shown with."""
        if self.client_key_file is not None and self.client_certificate_file is None:
            raise ValueError("client_key_file is given and client_certificate_file is not; give both or none")


def identity_of(mesh: HttpMesh, *, setting: str, token_header: str | None = None) -> Identity:
    """Who we are to its server, and whom we trust.

    Args:
        mesh: its settings.
        setting: where they stand, for refusals: ``meshes.consul``.
        token_header: the header that a token stands in as it is; null: it is a bearer token.

    Raises:
        InvalidInput: certificates cannot be used.
    """
    return Identity(
        Credentials(
            token_file=mesh.token_file,
            token_header=token_header,
            ca_file=mesh.ca_file,
            client_certificate_file=mesh.client_certificate_file,
            client_key_file=mesh.client_key_file,
            setting=setting,
        )
    )
