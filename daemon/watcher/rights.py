"""What watching routes asks of the API servers, beside what the meshes' rows and the owners' ask for anyway."""

from typing import Final

from daemon.delivery.flagger import CANARIES
from daemon.kube.resources import REPLICA_SETS, ROLLOUTS, SERVICES, WORKLOADS
from daemon.kube.rights import Right

RIGHTS: Final = (
    Right(
        verbs=("list",),
        resources=(SERVICES, *WORKLOADS, REPLICA_SETS),
        scopes=("watched",),
        purpose="know what runs behind a route's destinations when nobody announces a release (sources of the kind kubernetes)",
        without="releases are noticed, and nothing that is found of them may take traffic back",
    ),
    Right(
        verbs=("watch",),
        resources=(WORKLOADS[0],),
        scopes=("watched",),
        purpose="notice rolling updates and second Deployments that no route tells apart (sources of the kind kubernetes)",
        without="neither rolling updates nor second Deployments are noticed",
    ),
    Right(
        verbs=("watch",),
        resources=(SERVICES,),
        scopes=("watched",),
        purpose="notice a second Deployment behind a Service that another one serves (sources of the kind kubernetes)",
        without="second Deployments are not noticed",
    ),
    Right(
        verbs=("watch",),
        resources=(ROLLOUTS, CANARIES),
        scopes=("watched",),
        purpose="notice what Argo Rollouts and Flagger do beside their routes (sources of the kind kubernetes)",
        without="a second attempt of a controller at the same version may not be noticed",
    ),
)
