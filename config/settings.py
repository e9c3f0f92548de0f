"""How one verdictd daemon is set up: its cluster, where telemetry and NATS are, what it listens on, its limits.

Read from YAML or JSON, then from the environment (``VERDICTD_HTTP__LISTEN=...``: two underscores separate levels). Which kinds of
mesh there are, and which dialects, is not known here: ``config.kinds`` makes the model of what a person may write from them.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from config import urls
from config.hooksenders import SIGNERS, HookSender
from config.policy import Policy

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$",
        extra={"fix": "use 1 to 63 letters, digits, '-' or '_', beginning and ending with a letter or digit"},
    ),
]
LabelName = Annotated[
    str,
    Meta(
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        max_length=200,
        extra={"fix": "use the name of a label: letters, digits and '_', beginning with no digit"},
    ),
]
Positive = Annotated[float, Meta(gt=0.0)]
FileName = Annotated[str, Meta(min_length=1, extra={"fix": "write a path, or leave the key out"})]
BaseUrl = Annotated[str, Meta(extra={"check": urls.base_url})]
PageLink = Annotated[str, Meta(max_length=2048, extra={"check": urls.page_link})]
"""Of an HTTP server. Whoever asks it reads it by ``config.urls`` too, so that what is refused there is refused here."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = frozenset({"accept-encoding", "connection", "content-length", "content-type", "transfer-encoding"})
_OWN_PARAMETERS = frozenset({"query", "time", "start", "end", "step"})


class Nats(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker. ``embedded`` runs a nats-server child; everything else is the same."""

    url: Annotated[
        str,
        Meta(
            description="nats://host:4222, tls://..., a comma-separated list of them, or the word embedded.",
            extra={"check": urls.nats_servers},
        ),
    ] = urls.EMBEDDED
    data_dir: Annotated[FileName, Meta(description="Where the embedded server keeps its streams.")] = "verdictd-data"
    credentials_file: Annotated[FileName | None, Meta(description="A .creds file.")] = None
    token_file: Annotated[
        FileName | None, Meta(description="A file holding an authentication token, read anew at each connect.")
    ] = None
    ca_file: Annotated[FileName | None, Meta(description="PEM bundle to trust in place of the system's; read anew too.")] = None
    replicas: Annotated[int, Meta(ge=1, le=5, description="Replicas of streams and buckets.")] = 1
    connect_timeout_seconds: Annotated[Positive, Meta(description="How long one attempt to connect may take.")] = 10.0

    def __post_init__(self) -> None:
        """Refuse two ways to show who we are."""
        if self.token_file is not None and self.credentials_file is not None:
            raise ValueError("token_file is set, and credentials_file too; keep one of the two")


Scope = Literal["submit", "command", "freeze", "read"]
"""What a caller may do: announce releases and ask at gates, say a person's word, freeze and thaw, read."""


class Caller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may call, by a token of its own, and what it may do ([security.md](security.md))."""

    token_file: Annotated[
        FileName,
        Meta(
            description="A file holding its bearer token, or several, a line each, every one of which is right, so that one can be "
            "changed without a gap. Read anew while the daemon runs."
        ),
    ]
    scopes: Annotated[
        list[Scope],
        Meta(
            min_length=1,
            description="What it may do: submit (announce, ask at gates), command (rollback, promote, cancel), freeze, read.",
        ),
    ]
    namespaces: Annotated[
        list[str] | None, Meta(description="The namespaces that it may announce, command and freeze in; none: all.")
    ] = None
    policies: Annotated[list[str] | None, Meta(description="The policies that its releases may name; none: all.")] = None


class SignedCaller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may call by a signed token of an issuer, and what it may do ([security.md](security.md))."""

    claims: Annotated[
        dict[Name, Annotated[str, Meta(min_length=1)] | Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]],
        Meta(min_length=1, description="What its tokens say of it: each claim's value, or a list any one of which it may be."),
    ]
    scopes: Annotated[list[Scope], Meta(min_length=1, description="What it may do: submit, command, freeze, read.")]
    namespaces: Annotated[
        list[str] | None, Meta(description="The namespaces that it may announce, command and freeze in; none: all.")
    ] = None
    policies: Annotated[list[str] | None, Meta(description="The policies that its releases may name; none: all.")] = None


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who signs tokens that are shown here: GitHub, GitLab, a cluster, whoever speaks OpenID Connect."""

    issuer: Annotated[BaseUrl, Meta(description="As its tokens name it (iss), e.g. https://token.actions.githubusercontent.com.")]
    audience: Annotated[str, Meta(min_length=1, description="Whom its tokens must be for (aud): a name that nobody else goes by.")]
    callers: Annotated[dict[Name, SignedCaller], Meta(min_length=1, description="Who may call, by any name.")]
    keys_url: Annotated[
        BaseUrl | None,
        Meta(description="Where its public keys are; default: where the issuer says, by OpenID Connect's discovery."),
    ] = None
    token_file: Annotated[FileName | None, Meta(description="A bearer token to ask for the keys with; only with keys_url.")] = None
    ca_file: Annotated[FileName | None, Meta(description="PEM bundle to trust in place of the system's.")] = None

    def __post_init__(self) -> None:
        """Refuse to send a token to wherever the issuer says."""
        if self.token_file is not None and self.keys_url is None:
            raise ValueError("token_file is set, and keys_url is not; name where the keys are, or leave token_file out")


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the API shows; loaded anew when its files change, without a restart."""

    certificate_file: Annotated[FileName, Meta(description="PEM: the certificate, and those between it and its authority.")]
    key_file: Annotated[
        FileName | None, Meta(description="PEM: its key, not encrypted; default: in the certificate's file too.")
    ] = None


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The API. Off loopback, whatever changes traffic needs the bearer token; without one the daemon does not start."""

    listen: Annotated[str, Meta(description="host:port; port 0 takes a free one.")] = "127.0.0.1:8484"
    token_file: Annotated[
        FileName | None,
        Meta(description="A file holding the bearer token of whoever may do everything, or several, a line each; read anew."),
    ] = None
    callers: Annotated[dict[Name, Caller], Meta(description="Further callers with tokens of their own, by any name.")] = {}
    issuers: Annotated[dict[Name, Issuer], Meta(description="Whose signed tokens are taken, by any name.")] = {}
    read: Annotated[
        Literal["open", "token"],
        Meta(description="Who may read releases, freezes and metrics: whoever reaches the port, or whoever shows a token for it."),
    ] = "open"
    tls: Annotated[Tls | None, Meta(description="The certificate; without one the API speaks plain HTTP.")] = None
    public_url: Annotated[BaseUrl | None, Meta(description="Where people reach it, for links in what sinks tell.")] = None
    links: Annotated[
        dict[Name, PageLink],
        Meta(description="Where else the page of a release leads, by name; {release}, {service} and the like are filled in."),
    ] = {}
    max_body_bytes: Annotated[int, Meta(ge=1024, description="Largest request body.")] = 1_048_576
    max_wait_seconds: Annotated[Positive, Meta(description="Longest long poll.")] = 300.0
    max_connections: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Connections at a time; default 1000, or what the limit of open files leaves beside a revert."),
    ] = None
    max_connections_per_peer: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Of them from one address (all behind one proxy or NAT are one); default half of all."),
    ] = None
    requests_per_second: Annotated[
        Positive | None,
        Meta(
            description="Of each caller, or each address that shows no token, on average; ten seconds' worth may come at once, "
            "more is answered 429. Not of /healthz, /readyz, /openapi.json and /client. Default: any number."
        ),
    ] = None
    idle_seconds: Annotated[
        Positive,
        Meta(description="A connection on which no whole request has come for so long is closed; sooner when all are taken."),
    ] = 75.0


class Kubernetes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the API server of a cluster. Of a single one the keys may stand right below ``kubernetes``, without a name."""

    auth: Annotated[
        Literal["auto", "in-cluster", "kubeconfig"],
        Meta(description="auto: the service account when there is one, else the kubeconfig."),
    ] = "auto"
    kubeconfig: Annotated[FileName | None, Meta(description="Path; default $KUBECONFIG or ~/.kube/config.")] = None
    context: Annotated[str | None, Meta(description="Context of the kubeconfig; default the current one.")] = None
    request_timeout_seconds: Annotated[Positive, Meta(description="Longest wait for an answer of the API server.")] = 5.0


class PrometheusTelemetry(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="prometheus", tag_field="kind"
):
    """Counters read through the Prometheus HTTP API."""

    url: Annotated[BaseUrl, Meta(description="Base URL, e.g. http://prometheus.monitoring:9090.")]
    dialect: Annotated[str, Meta(description="Whose metric names and labels the series carry.")]
    tick_seconds: Annotated[float, Meta(ge=0.25, le=300.0, description="The sampling interval.")] = 5.0
    timeout_seconds: Annotated[
        Positive, Meta(description="Longest wait for an answer, read to its end; later is a tick without data.")
    ] = 4.0
    process: Annotated[
        Literal["shared", "own"],
        Meta(description="Where answers are read: shared: in the daemon's process; own: in one beside it, from 1000 releases on."),
    ] = "shared"
    stale_after_seconds: Annotated[
        Positive, Meta(description="A newest sample older than this is no information: how far apart samples are, and how late.")
    ] = 300.0
    token_file: Annotated[FileName | None, Meta(description="A file holding a bearer token, read anew for each query.")] = None
    username: Annotated[str | None, Meta(description="For basic authentication; with password_file.")] = None
    password_file: Annotated[FileName | None, Meta(description="A file holding the password, read anew for each query.")] = None
    ca_file: Annotated[FileName | None, Meta(description="PEM bundle to trust in place of the system's; read anew too.")] = None
    client_certificate_file: Annotated[
        FileName | None, Meta(description="PEM: what we show a server that asks for certificates; read anew when it changes.")
    ] = None
    client_key_file: Annotated[
        FileName | None, Meta(description="PEM: its key, without a passphrase; default: it stands in client_certificate_file too.")
    ] = None
    streams: Annotated[
        dict[str, list[str]],
        Meta(description="Values of labels that only streams have; those are counted, and their durations are no latency."),
    ] = {}
    headers: Annotated[dict[str, str], Meta(description="Sent with each query, e.g. X-Scope-OrgID.", extra={"secret": True})] = {}
    query: Annotated[
        dict[str, str],
        Meta(
            description="Further parameters in the address of each query, e.g. namespace, dedup, extra_label.",
            extra={"secret": True},
        ),
    ] = {}
    method: Annotated[
        Literal["auto", "post", "get"],
        Meta(description="How queries are sent; auto: by POST, and by GET where the server refuses that (405, 501, 403)."),
    ] = "auto"
    matchers: Annotated[
        dict[LabelName, str],
        Meta(description="Labels that all series must have, e.g. cluster: prod, where one store serves several clusters."),
    ] = {}
    reporter: Annotated[
        str | None, Meta(description="Who counts the requests; istio: destination (default), source, waypoint, gateway.")
    ] = None
    labels: Annotated[
        dict[LabelName, LabelName],
        Meta(description="What the store calls the mesh's labels, where it calls them otherwise, e.g. pod: kubernetes_pod_name."),
    ] = {}
    replica_labels: Annotated[
        list[LabelName],
        Meta(description="Labels by which copies of a series differ, beside job, prometheus and any with replica in its name."),
    ] = []
    control_plane: Annotated[
        Literal["excuses", "says", "ignored"],
        Meta(
            description="What signs of a broken control plane do: excuses: nothing is judged meanwhile; says: they are told; "
            "ignored: they are not asked for."
        ),
    ] = "excuses"
    max_answer_bytes: Annotated[
        int, Meta(ge=1_048_576, description="Longest answer, unpacked; 2000 releases through Prometheus need 66 MiB.")
    ] = 268_435_456

    def __post_init__(self) -> None:
        """Refuse what cannot go together, a line for each; no line holds a value, which may be secret."""
        if contradictions := list(self._contradictions()):
            raise ValueError("\n".join(contradictions))

    def _contradictions(self) -> Iterator[str]:
        if (self.username is None) != (self.password_file is None):
            missing, there = ("username", "password_file") if self.username is None else ("password_file", "username")
            yield f"{missing} is missing beside {there}; add it, or remove {there}"
        if self.username is not None and (":" in self.username or not self.username.isprintable()):
            yield "username holds a colon or a line break, which basic authentication cannot carry; correct it"
        if self.username is not None and self.token_file is not None:
            yield "username and token_file are two answers to one question; remove one of them"
        if self.client_key_file is not None and self.client_certificate_file is None:
            yield "client_certificate_file is missing beside client_key_file; add it, or remove client_key_file"
        named = urls.names_somebody(self.url)
        if named and (self.token_file is not None or self.username is not None):
            yield "url holds a name or a password beside another; take them out of it, or remove token_file and username"
        yield from self._header_contradictions(named=named)
        for name in self.query:
            if name in _OWN_PARAMETERS:
                yield f"query.{name} is verdictd's own; remove it"

    def _header_contradictions(self, *, named: bool) -> Iterator[str]:
        """``named``: the URL holds a name or a password."""
        before: dict[str, str] = {}
        for name, value in self.headers.items():
            other = before.setdefault(name.lower(), name)
            if _HEADER_NAME.fullmatch(name) is None:
                yield f"headers has a name that is none: {name[:40]!r}; write letters, digits and '-'"
            elif not value.isascii() or not value.isprintable():
                yield f"headers.{name} is no line of ASCII characters; is there a line break at its end?"
            elif other != name:
                yield f"headers.{name} is the same as {other}, since case does not count; keep one of them"
            elif name.lower() in _OWN_HEADERS:
                yield f"headers.{name} is verdictd's own; remove it"
            elif name.lower() == "authorization" and (named or self.token_file is not None or self.username is not None):
                yield f"headers.{name} says what url, token_file or username say too; remove it"


class EnvoyTelemetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="envoy", tag_field="kind"):
    """Counters read from Envoy's own admin or stats endpoints, all proxies of a service at once."""

    endpoints: Annotated[list[BaseUrl], Meta(min_length=1, description="Base URLs, e.g. http://10.0.0.7:15090.")]
    dialect: Annotated[str, Meta(description="Whose metric names and labels the series carry.")] = "envoy"
    histograms: Annotated[
        Literal["text", "bins"],
        Meta(description="text: the buckets of /stats/prometheus. bins: the raw bins of /stats (admin only)."),
    ] = "text"
    streams: Annotated[
        dict[str, list[str]],
        Meta(description="Values of labels that only streams have; those are counted, and their durations are no latency."),
    ] = {}
    tick_seconds: Annotated[float, Meta(ge=0.25, le=300.0, description="The sampling interval.")] = 1.0
    timeout_seconds: Annotated[
        Positive, Meta(description="Longest wait for one proxy, read to its end; later is a tick without data.")
    ] = 0.9
    concurrency: Annotated[int, Meta(ge=1, le=1024, description="Proxies scraped at the same time.")] = 64
    max_answer_bytes: Annotated[int, Meta(ge=1_048_576, description="Longest answer of one proxy, unpacked.")] = 268_435_456


class SidecarTelemetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="sidecars", tag_field="kind"):
    """Counters read from the sidecars of the pods that a release's arms have, as the API server says which these are."""

    dialect: Annotated[str, Meta(description="Whose metric names and labels the series carry.")]
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)] | None,
        Meta(description="Where each pod shows them; default the mesh's own, such as 15090 for Istio."),
    ] = None
    fallback: Annotated[
        Name | None,
        Meta(description="A prometheus entry under telemetry, read for releases whose pods cannot be reached."),
    ] = None
    tick_seconds: Annotated[float, Meta(ge=0.25, le=300.0, description="The sampling interval.")] = 1.0
    timeout_seconds: Annotated[
        Positive, Meta(description="Longest wait for one pod, read to its end; later is a tick without data.")
    ] = 0.9
    concurrency: Annotated[int, Meta(ge=1, le=1024, description="Pods scraped at the same time.")] = 64
    max_pods: Annotated[
        int, Meta(ge=1, le=100_000, description="Pods in all; a release whose pods are beyond that is not read from its pods.")
    ] = 1000
    max_answer_bytes: Annotated[int, Meta(ge=1_048_576, description="Longest answer of one pod, unpacked.")] = 67_108_864


Telemetry = PrometheusTelemetry | EnvoyTelemetry | SidecarTelemetry


class Mesh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every mesh is told. Each kind of mesh adds a tag, ``kind``, and settings of its own (``config.kinds``)."""

    telemetry: Annotated[str, Meta(description="Name of an entry under telemetry.")]


class KubeMesh(Mesh, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every mesh is told whose routes are objects of an API server."""

    cluster: Annotated[
        Name | None,
        Meta(description="Where its releases are judged, a name under kubernetes; default the daemon's own, or the only one."),
    ] = None
    further_clusters: Annotated[
        list[Name], Meta(description="Where what is routed to the same canary is taken back with it; names under kubernetes.")
    ] = []


class ConnectorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a source of events or a sink of verdicts is told that has settings. Each kind adds a tag, ``kind``, and its own keys."""


class Hook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may announce releases at ``/hooks/NAME``, with secrets of its own ([hooks.md](hooks.md))."""

    sender: Annotated[HookSender, Meta(description="Whose words are understood.")]
    secret_files: Annotated[
        list[FileName],
        Meta(
            description="Files with what its requests show or are signed with; each is right, so that one can be changed without a "
            "gap. Read anew while the daemon runs. None: the daemon's token, http.token_file, is asked for."
        ),
    ] = []

    def __post_init__(self) -> None:
        """Refuse a sender that signs what it sends, and nothing to check that by."""
        if self.sender in SIGNERS and not self.secret_files:
            raise ValueError(
                f"secret_files is empty, and {self.sender} cannot show the daemon's token; name the file of its secret"
            )


class MappingRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sender's words mean here ([hooks.md](hooks.md#mapping)): of the rows the first that fits is taken."""

    service: Annotated[str | None, Meta(description="The service as the sender calls it; none: any.")] = None
    environment: Annotated[str | None, Meta(description="The environment as the sender calls it; none: any, or none.")] = None
    name: Annotated[Name | None, Meta(description="What the service is called here; none: as the sender calls it.")] = None
    namespace: Annotated[Name | None, Meta(description="Where it runs, unless the sender says it.")] = None
    cluster: Annotated[
        Name | None,
        Meta(description="The cluster, unless the sender says it; none: this one, where the row names an environment."),
    ] = None
    policy: Annotated[Name | None, Meta(description="Under policies, unless the sender says one.")] = None


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may ask at this gate, with secrets of its own ([gates.md](gates.md))."""

    secret_files: Annotated[
        list[FileName],
        Meta(
            description="Files with the secrets of who asks, shown as a bearer token or as the password of basic authentication; "
            "each is right. Read anew while the daemon runs. None: the daemon's token, http.token_file, is asked for."
        ),
    ] = []


class Gates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where controllers and pipelines ask whether to go on, each in its own words ([gates.md](gates.md))."""

    http: Annotated[Gate, Meta(description="A status or JSON, for whoever can send a request.")] = Gate()
    argo: Annotated[Gate, Meta(description="The web metric of Argo Rollouts.")] = Gate()
    flagger: Annotated[Gate, Meta(description="The webhooks of Flagger.")] = Gate()
    prometheus: Annotated[Gate, Meta(description="What a MetricTemplate of Flagger asks Prometheus.")] = Gate()
    kayenta: Annotated[Gate, Meta(description="What Argo Rollouts and Spinnaker ask Kayenta.")] = Gate()


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of one daemon. What does not fit is refused with the reason, never dropped."""

    max_releases: Annotated[int, Meta(ge=1, le=100_000, description="Releases watched at the same time.")] = 10_000
    max_ended: Annotated[
        int, Meta(ge=0, description="Ended releases kept in memory for reading; older ones are read from the store.")
    ] = 1_000
    unparsed_bytes: Annotated[
        int,
        Meta(
            ge=2_097_152,
            description="What of all answers of telemetry together is in memory unparsed; further ones wait, with 128 KiB each.",
        ),
    ] = 67_108_864
    locate_seconds: Annotated[Positive, Meta(description="How long to look for the canary and its route before giving up.")] = 30.0
    revert_attempts: Annotated[int, Meta(ge=1, le=100, description="Patches tried in one revert.")] = 10
    confirm_seconds: Annotated[
        Positive, Meta(description="How long to wait until the traffic is seen to have left the canary.")
    ] = 10.0
    insist_seconds: Annotated[
        float, Meta(ge=0.0, description="How long to go on with a revert that could not be done; later its evidence is too old.")
    ] = 900.0
    guard_seconds: Annotated[
        float,
        Meta(
            ge=0.0,
            description="How long to put the weights back when somebody undoes the revert; at least as long as an owner takes to; "
            "0: not at all.",
        ),
    ] = 30.0
    owner_reaction_seconds: Annotated[
        Annotated[float, Meta(ge=0.0)] | None,
        Meta(
            description="How long to look whether who owns the routes undoes a revert; none: as long as that owner takes "
            "(Argo Rollouts 2 s, Flagger one of its intervals and 5 s, Argo CD and Flux 5 s).",
        ),
    ] = None


class Replicas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several daemons that share one cluster's work, on one NATS that is not embedded ([replicas.md](replicas.md))."""

    count: Annotated[
        int, Meta(ge=1, le=32, description="How many daemons there are to be; from 2 on each may come, go and die at any time.")
    ] = 1
    lease_seconds: Annotated[
        float,
        Meta(
            ge=1.0,
            le=60.0,
            description="How long one may be silent before the others take its releases; it takes nothing back itself by then.",
        ),
    ] = 3.0


class Recordings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recording per release, for ``verdictd replay``."""

    directory: Annotated[FileName | None, Meta(description="Folder; none: no recordings are kept.")] = None


Days = Annotated[int, Meta(ge=1, le=3_650)]


class KeepRecordings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The oldest beyond either go, but never one of a release that is running, nor one written to in the last ten minutes."""

    days: Annotated[Days, Meta(description="How long after its last tick a recording is kept.")] = 90
    bytes: Annotated[int, Meta(ge=1_048_576, description="How much all of them may take.")] = 4_294_967_296


class KeepStream(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is set here NATS is brought to at each start; the rest stays as it was made, or as who runs the broker has set it."""

    days: Annotated[Days | None, Meta(description="How long; made with 90.")] = None
    bytes: Annotated[
        Annotated[int, Meta(ge=16_777_216)] | None,
        Meta(description="How much, oldest first; verdicts and the audit are made with 256 MiB, records without an end."),
    ] = None


class Keep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long and how much is kept of what has ended."""

    recordings: Annotated[KeepRecordings, Meta(description="Files in `recordings.directory`.")] = KeepRecordings()
    records: Annotated[KeepStream, Meta(description="Decision records, in the bucket `verdictd_records`.")] = KeepStream()
    verdicts: Annotated[KeepStream, Meta(description="Verdicts, on the stream `VERDICTD_VERDICTS`.")] = KeepStream()
    audit: Annotated[KeepStream, Meta(description="Who said what and what was done, on the stream `VERDICTD_AUDIT`.")] = (
        KeepStream()
    )


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one daemon needs."""

    cluster: Annotated[Name, Meta(description="This cluster's name, as it stands in subjects and records.")] = "default"
    nats: Annotated[Nats, Meta(description="The broker.")] = Nats()
    http: Annotated[Http, Meta(description="The API.")] = Http()
    kubernetes: Annotated[dict[Name, Kubernetes], Meta(description="How to reach the API servers, by the cluster's name.")] = {}
    telemetry: Annotated[dict[Name, Telemetry], Meta(description="Sources of counters, by a name that meshes refer to.")] = {}
    meshes: Annotated[dict[Name, Mesh], Meta(description="By the name releases use in their field mesh.")] = {}
    sources: Annotated[
        dict[Name, ConnectorSettings], Meta(description="Further sources of deployment events, by a name of your own.")
    ] = {}
    sinks: Annotated[
        dict[Name, ConnectorSettings], Meta(description="Further places that are told of verdicts, by a name of your own.")
    ] = {}
    hooks: Annotated[dict[Name, Hook], Meta(description="Who may announce releases at /hooks/NAME, by a name of your own.")] = {}
    mapping: Annotated[
        list[MappingRow], Meta(description="What a sender's service and environment mean here; the first row that fits counts.")
    ] = []
    gates: Annotated[Gates, Meta(description="Where controllers and pipelines ask whether to go on.")] = Gates()
    policies: Annotated[dict[Name, Policy], Meta(description="By name; default is used where a release names none.")] = {}
    limits: Annotated[Limits, Meta(description="Bounds of one daemon.")] = Limits()
    replicas: Annotated[Replicas, Meta(description="Several daemons that share the work.")] = Replicas()
    recordings: Annotated[Recordings, Meta(description="A recording per release.")] = Recordings()
    keep: Annotated[Keep, Meta(description="How long and how much is kept of what has ended.")] = Keep()
    kubernetes_events: Annotated[
        bool,
        Meta(description="Whether Kubernetes is told each verdict, by an Event on the canary's workload and on its routes."),
    ] = True
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least important event that is logged.")
    ] = "info"

    def __post_init__(self) -> None:
        """Refuse meshes whose telemetry or cluster does not exist, a line for each: the loader makes errors with path and fix."""
        known = ", ".join(sorted(self.telemetry)) or "none is configured"
        contradictions = [
            f"meshes.{name}.telemetry names {mesh.telemetry!r}, which is not under telemetry ({known}); "
            "add it there or correct the name"
            for name, mesh in self.meshes.items()
            if mesh.telemetry not in self.telemetry
        ]
        contradictions += [line for name, mesh in self.meshes.items() for line in self._misplaced(name, mesh)]
        contradictions += [line for name, entry in self.telemetry.items() for line in self._without_fallback(name, entry)]
        contradictions += [
            f"meshes.{name}.telemetry names {mesh.telemetry!r}, which reads the sidecars of pods, and its routes are not of an API "
            "server that could name them; name an entry of another kind"
            for name, mesh in self.meshes.items()
            if isinstance(self.telemetry.get(mesh.telemetry), SidecarTelemetry) and not isinstance(mesh, KubeMesh)
        ]
        if self.replicas.count > 1 and self.nats.url == urls.EMBEDDED:
            contradictions.append(
                f"nats.url is {urls.EMBEDDED}, and replicas.count {self.replicas.count}: they need a NATS that all of them reach; "
                "name it, or leave replicas out"
            )
        contradictions += [
            f"http.callers.{name}.policies[{index}] names {policy!r}, which is not under policies; add it there or correct the name"
            for name, caller in self.http.callers.items()
            for index, policy in enumerate(caller.policies or ())
            if policy not in {"default", *self.policies}
        ]
        contradictions += self._mistaken_rows()
        if contradictions:
            raise ValueError("\n".join(contradictions))

    def _mistaken_rows(self) -> list[str]:
        """What is kept has been mapped once, and is read by the same rows: a name must not mean another one again."""
        nameless = [
            f"mapping[{index}].name is {row.name!r} for every service; write the sender's name of it under service"
            for index, row in enumerate(self.mapping)
            if row.name is not None and row.service is None
        ]
        return (
            nameless
            + [
                f"mapping[{index}].policy names {row.policy!r}, which is not under policies; add it there or correct the name"
                for index, row in enumerate(self.mapping)
                if row.policy not in {None, "default", *self.policies}
            ]
            + [
                f"mapping[{index}].name is {row.name!r}, which another row calls otherwise; write a row for each name of a sender's"
                for index, row in enumerate(self.mapping)
                if row.name is not None
                and any(row.name == one.service and one.name not in {None, row.name} for one in self.mapping)
            ]
        )

    @property
    def clusters(self) -> dict[str, Kubernetes]:
        """The clusters that can be reached, by name: where none is named, the daemon's own."""
        return self.kubernetes or {self.cluster: Kubernetes()}

    def clusters_of(self, mesh: Mesh) -> tuple[str, ...]:
        """The names of a mesh's clusters: the one where its releases are judged, then the further ones."""
        there = self.clusters
        home = self.cluster if self.cluster in there else next(iter(there))
        return (mesh.cluster or home, *mesh.further_clusters) if isinstance(mesh, KubeMesh) else (self.cluster,)

    def _without_fallback(self, name: str, entry: Telemetry) -> list[str]:
        if not isinstance(entry, SidecarTelemetry) or entry.fallback is None:
            return []
        there = self.telemetry.get(entry.fallback)
        known = ", ".join(sorted(one for one, other in self.telemetry.items() if isinstance(other, PrometheusTelemetry)))
        at = f"telemetry.{name}.fallback names {entry.fallback!r}"
        if not isinstance(there, PrometheusTelemetry):
            return [f"{at}, which is no prometheus entry under telemetry ({known or 'there is none'}); add one or leave it out"]
        if there.dialect != entry.dialect:
            return [f"{at}, whose dialect is {there.dialect!r}, not {entry.dialect!r}; both must be the same mesh's"]
        return []

    def _misplaced(self, name: str, mesh: Mesh) -> list[str]:
        if not isinstance(mesh, KubeMesh):
            return []
        there = self.clusters
        known = ", ".join(sorted(there))
        if mesh.cluster is None and self.cluster not in there and len(there) > 1:
            return [f"meshes.{name}.cluster is not given, and there are several under kubernetes; write one of {known}"]
        home, *further = self.clusters_of(mesh)
        wrong = [f"meshes.{name}.cluster names {home!r}, which is not under kubernetes; write one of {known}"] * (home not in there)
        for index, one in enumerate(further):
            at = f"meshes.{name}.further_clusters[{index}]"
            if one not in there:
                wrong.append(f"{at} names {one!r}, which is not under kubernetes; write one of {known}")
            elif one == home or one in further[:index]:
                wrong.append(f"{at} names {one!r} once more; remove it")
        return wrong
