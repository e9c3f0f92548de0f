"""The names under which verdictd is found in NATS. They are an interface: pipelines subscribe to them.

Names from outside become tokens of a subject here and nowhere else, and only after ``daemon.names`` has had its say: a
service called ``>`` or ``a.b`` would otherwise speak for its neighbours.
"""

from typing import Final

from daemon import names

RELEASES: Final = "VERDICTD_RELEASES"
VERDICTS: Final = "VERDICTD_VERDICTS"
REJECTED: Final = "VERDICTD_REJECTED"
COMMANDS: Final = "VERDICTD_COMMANDS"
CDEVENTS: Final = "VERDICTD_CDEVENTS"
NOTICES: Final = "VERDICTD_NOTICES"
AUDIT: Final = "VERDICTD_AUDIT"

SESSIONS: Final = "verdictd_sessions"
RECORDS: Final = "verdictd_records"
ROUTES: Final = "verdictd_routes"

RELEASE_SUBJECTS: Final = "verdictd.release.>"
VERDICT_SUBJECTS: Final = "verdictd.verdict.>"
REJECTED_SUBJECT: Final = "verdictd.rejected"
COMMAND_SUBJECTS: Final = "verdictd.command.*"
CDEVENT_SUBJECTS: Final = "verdictd.cdevents.>"
NOTICE_SUBJECTS: Final = "verdictd.notice.>"
AUDIT_SUBJECTS: Final = "verdictd.audit.>"


def release_subject(*, cluster: str, namespace: str, service: str) -> str:
    """Where a release of this service is announced; any other subject under ``verdictd.release.`` is as good."""
    return "verdictd.release." + _place(cluster, namespace, service)


def verdict_subject(*, cluster: str, namespace: str, service: str) -> str:
    """Where the verdicts of this service are published. Raises ``InvalidInput`` for a name that is not one token."""
    return "verdictd.verdict." + _place(cluster, namespace, service)


def verdict_subjects(*, cluster: str, namespace: str | None = None, service: str | None = None) -> str:
    """Where those of a cluster are; null: of any namespace, of any service. Raises as ``verdict_subject``."""
    said = {"?namespace": namespace, "?service": service}
    places = ("*" if one is None else names.token(one, path=path) for path, one in said.items())
    return ".".join(("verdictd.verdict", names.token(cluster, path="cluster"), *places))


def cdevent_subject(*, cluster: str, namespace: str, service: str) -> str:
    """Where the CDEvents of this service are published. Raises ``InvalidInput`` for a name that is not one token."""
    return "verdictd.cdevents." + _place(cluster, namespace, service)


def notice_subject(*, cluster: str, channel: str) -> str:
    """Where notices wait for a channel. Raises ``InvalidInput`` for a name that is not one token."""
    return f"verdictd.notice.{names.token(cluster, path='cluster')}.{names.token(channel, path='channel')}"


def audit_subject(*, cluster: str, namespace: str = "", service: str = "") -> str:
    """Where it is told who said what and what was done: of a service, of a whole namespace, or of the whole cluster.

    Raises ``InvalidInput`` for a name that is not one token.
    """
    said = {"cluster": cluster, "namespace": namespace, "service": service}
    return ".".join(("verdictd.audit", *(names.token(one, path=path) for path, one in said.items() if one)))


def _place(cluster: str, namespace: str, service: str) -> str:
    return ".".join(
        (
            names.token(cluster, path="cluster"),
            names.token(namespace, path="namespace"),
            names.token(service, path="service"),
        )
    )
