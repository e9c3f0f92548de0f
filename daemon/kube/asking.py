"""What the API server says of itself and of us: its version, who we are, and what we may do."""

from dataclasses import dataclass

from daemon.errors import VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.resources import Resource
from daemon.kube.rights import Verb

ACCESS_REVIEWS = Resource(
    group="authorization.k8s.io", version="v1", plural="selfsubjectaccessreviews", kind="SelfSubjectAccessReview"
)
SELF_REVIEWS = Resource(group="authentication.k8s.io", version="v1", plural="selfsubjectreviews", kind="SelfSubjectReview")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether something is allowed, and the API server's reason, if it gave one."""

    allowed: bool
    reason: str = ""


async def version(kube: KubeClient) -> str:
    """As ``v1.33.1``. Raises ``VerdictdError``."""
    return str((await kube.document("/version")).get("gitVersion") or "of no version that it tells")


async def who_we_are(kube: KubeClient) -> str:
    """The name by which the API server knows us; empty where it does not tell (before Kubernetes 1.28)."""
    try:
        status = await kube.review(SELF_REVIEWS, {})
    except VerdictdError:
        return ""
    info = status.get("userInfo")
    return str(info.get("username") or "") if isinstance(info, dict) else ""


async def may(kube: KubeClient, verb: Verb, resource: Resource, *, namespace: str | None) -> Answer:
    """Whether we may do this in a namespace; null: in all of them. Raises ``VerdictdError`` where it does not say."""
    attributes = {
        "verb": verb,
        "group": resource.group,
        "resource": resource.plural,
        "subresource": resource.subresource,
        "namespace": namespace or "",
    }
    status = await kube.review(ACCESS_REVIEWS, {"resourceAttributes": attributes})
    return Answer(allowed=bool(status.get("allowed")), reason=str(status.get("reason") or ""))
