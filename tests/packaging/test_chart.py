"""The chart: it grants what the plain manifests grant, runs what they run, and refuses what the daemon would."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from daemon import __version__
from daemon.settings import load_settings
from tests.packaging import manifests
from tests.packaging.chart import CHART, NAMESPACE, VARIANTS, helm, objects, one, pods, rendered, variant
from tests.packaging.manifests import Json
from tests.servers.locate import require

pytestmark = [pytest.mark.mesh, pytest.mark.xdist_group("chart")]

OF_ITS_OWN = {"containers", "volumes", "topologySpreadConstraints"}
"""What of a pod names what the chart names otherwise, or has more of."""


@pytest.fixture(scope="module")
def default() -> list[Json]:
    return rendered()


def without_names(document: Json) -> Json:
    return {key: value for key, value in document.items() if key != "metadata"} | {"name": document["metadata"]["name"]}


@pytest.mark.parametrize("name", VARIANTS)
def test_lint_has_nothing_to_warn_of(name: str) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in helm("lint", "--strict", CHART, "--values", CHART / "ci" / name)


def test_the_versions_are_those_of_verdictd() -> None:
    said = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (said["version"], said["appVersion"]) == (__version__, __version__)
    (change, *_) = yaml.safe_load(said["annotations"]["artifacthub.io/changes"])
    assert set(change) == {"kind", "description"}


def test_its_rights_are_those_of_the_plain_manifests_and_to_observe_everywhere(default: list[Json]) -> None:
    """Bound beside them is only the role to observe, which the manifests' reader binds in a namespace by hand."""
    plain = [one for one in manifests.documents() if one["kind"].startswith("ClusterRole")]
    ours = [one for one in default if one["kind"].startswith("ClusterRole")]
    beside = [one for one in ours if one["kind"] == "ClusterRoleBinding" and one["metadata"]["name"] == "verdictd-observe"]
    assert [without_names(one) for one in ours if one not in beside] == [without_names(one) for one in plain]
    assert [one["roleRef"]["name"] for one in beside] == ["verdictd-observe"]
    assert not [one for one in default if one["kind"] == "RoleBinding"]


def test_namespaces_that_are_named_are_bound_and_no_others() -> None:
    found = variant("enforce-values.yaml")
    bound = [
        (each["metadata"].get("namespace", "*"), each["roleRef"]["name"]) for each in found if each["kind"].endswith("Binding")
    ]
    assert sorted(bound) == [
        ("*", "verdictd-find-routes"),
        ("blog", "verdictd-observe"),
        ("shop", "verdictd-enforce"),
        ("shop", "verdictd-observe"),
    ]
    subjects = [each["subjects"] for each in found if each["kind"].endswith("Binding")]
    assert subjects == [[{"kind": "ServiceAccount", "name": "verdictd", "namespace": NAMESPACE}]] * len(bound)


def test_the_daemon_runs_as_in_the_plain_manifests_and_may_be_slower_to_start() -> None:
    plain_deployment, deployment = manifests.the("Deployment")["spec"], one(variant("nats-values.yaml"), "Deployment")["spec"]
    assert [deployment[key] for key in ("replicas", "strategy")] == [plain_deployment[key] for key in ("replicas", "strategy")]
    plain, ours = (each["template"]["spec"] for each in (plain_deployment, deployment))
    assert {key: ours[key] for key in plain if key not in OF_ITS_OWN} == {
        key: value for key, value in plain.items() if key not in OF_ITS_OWN
    }
    assert [spread(pod) for pod in (ours, plain)] == [[("hostname", 1, "ScheduleAnyway"), ("zone", 1, "ScheduleAnyway")]] * 2
    (container,) = ours["containers"]
    same = ("args", "ports", "securityContext", "livenessProbe", "readinessProbe")
    assert {key: container[key] for key in same} == {key: plain["containers"][0][key] for key in same}
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 120
    assert container["resources"]["limits"]["ephemeral-storage"]


def spread(pod: Json) -> list[tuple[str, int, str]]:
    return [
        (each["topologyKey"].rpartition("/")[2], each["maxSkew"], each["whenUnsatisfiable"])
        for each in pod["topologySpreadConstraints"]
    ]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ([], 1),
        (["--values", CHART / "ci" / "nats-values.yaml"], 2),
        (["--values", CHART / "ci" / "nats-values.yaml", "--set", "replicas=1"], 1),
        (["--values", CHART / "ci" / "nats-values.yaml", "--set", "config.replicas.count=1"], 1),
        (["--values", CHART / "ci" / "nats-values.yaml", "--set", "config.replicas.count=4"], 4),
        (["--values", CHART / "ci" / "nats-values.yaml", "--set", "replicas=4,config.replicas.count=4"], 4),
        (["--values", CHART / "ci" / "replicas-values.yaml"], 3),
    ],
    ids=["embedded", "given", "one of it", "one by the settings", "four by the settings", "four by both", "three"],
)
def test_two_share_the_work_where_nats_is_given_and_as_many_as_run_are_told_so(
    words: list[str | Path], count: int, tmp_path: Path
) -> None:
    """One that is alone is replaced by one that comes after it, those that share by one that comes before."""
    found = rendered(*words)
    deployment = one(found, "Deployment")["spec"]
    assert deployment["replicas"] == count
    for said in (each["data"]["verdictd.yaml"] for each in found if each["kind"] == "ConfigMap"):
        (file := tmp_path / "verdictd.yaml").write_text(said, encoding="utf-8")
        assert load_settings(file).replicas.count == count
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert deployment["strategy"] == (rolling if count > 1 else {"type": "Recreate"})
    budgets = [each["spec"] for each in found if each["kind"] == "PodDisruptionBudget"]
    assert budgets == ([{"maxUnavailable": 1, "selector": deployment["selector"]}] if count > 1 else [])
    assert ("topologySpreadConstraints" in deployment["template"]["spec"]) == (count > 1)


def test_where_several_are_spread_is_ones_own_to_say_and_the_rest_of_what_they_are_told_stays() -> None:
    found = variant("replicas-values.yaml")
    pod = one(found, "Deployment")["spec"]["template"]["spec"]
    assert spread(pod) == [("zone", 1, "DoNotSchedule")]
    assert settings_in(found)["replicas"] == {"count": 3, "lease_seconds": 5}


@pytest.mark.parametrize("budget", [True, False])
def test_a_disruption_budget_is_there_or_not_as_it_is_said(*, budget: bool) -> None:
    words = ("--values", CHART / "ci" / "nats-values.yaml") if not budget else ()
    found = rendered(*words, "--set", f"podDisruptionBudget.enabled={str(budget).lower()}")
    assert ("PodDisruptionBudget" in {each["kind"] for each in found}) == budget


@pytest.mark.parametrize("name", VARIANTS)
def test_every_pod_is_held_to_the_same(name: str) -> None:
    plain = manifests.the("Deployment")["spec"]["template"]["spec"]
    for pod in pods(variant(name)):
        assert pod["spec"]["securityContext"] == plain["securityContext"]
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"] == plain["containers"][0]["securityContext"]
        assert container["resources"]["limits"].keys() == {"memory", "ephemeral-storage"}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_settings_are_settings_and_what_they_name_is_mounted(name: str, tmp_path: Path) -> None:
    """The daemon itself reads them, and refuses every key that it does not know."""
    found = variant(name)
    (text,) = {each["data"]["verdictd.yaml"] for each in found if each["kind"] == "ConfigMap" and "verdictd.yaml" in each["data"]}
    file = tmp_path / "verdictd.yaml"
    file.write_text(text, encoding="utf-8")
    settings = load_settings(file)
    assert settings.policies["default"].mode == ("enforce" if name.startswith("enforce") else "observe")
    (daemon,) = (each["spec"]["template"]["spec"] for each in found if each["kind"] == "Deployment")
    mounts = {mount["mountPath"]: mount["name"] for mount in daemon["containers"][0]["volumeMounts"]}
    assert set(mounts.values()) == {volume["name"] for volume in daemon["volumes"]}
    assert str(Path(settings.http.token_file or "").parent) in mounts
    assert (settings.nats.data_dir in mounts) == (settings.nats.url == "embedded")


def test_a_change_of_the_settings_is_a_new_pod(default: list[Json]) -> None:
    changed = rendered("--set", "config.log_level=debug")
    first, second = (one(each, "Deployment")["spec"]["template"]["metadata"]["annotations"] for each in (default, changed))
    assert first["checksum/config"] != second["checksum/config"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("replicas=2", "1: the embedded broker is within its daemon, and no other daemon could share the work through it"),
        ("config.replicas.count=2", "no other daemon could share the work through it"),
        ("replicas=0,config.nats.url=nats://nats:4222", "/replicas"),
        ("replicas=both,config.nats.url=nats://nats:4222", "/replicas"),
        (
            "replicas=2,config.replicas.count=3,config.nats.url=nats://nats:4222",
            "replicas is 2, and config.replicas.count 3: each daemon must know of the others; leave one of the two out",
        ),
        ("config.nats.urls=x", "additional properties 'urls' not allowed"),
        ("config.policies.default.mode=enforced", "value must be one of 'enforce', 'observe'"),
        ("config.log_level=loud", "/config/log_level"),
        ("enforcement=1", "additional properties 'enforcement' not allowed"),
        ("enforce.namespaces={Shop}", "/enforce/namespaces/0"),
        ("ingress.enabled=true", "/ingress/host"),
        ("ingress.host=https://verdictd.example.com", "/ingress/host"),
    ],
)
def test_what_the_daemon_would_refuse_is_refused_before_anything_is_installed(wrong: str, said: str) -> None:
    with pytest.raises(AssertionError) as refused:
        rendered("--set", wrong)
    assert said in str(refused.value)


def test_only_what_the_settings_name_may_be_reached() -> None:
    (policy,) = (each for each in variant("nats-values.yaml") if each["kind"] == "NetworkPolicy")
    assert "Egress" in policy["spec"]["policyTypes"]  # else nobody looks at it
    names, addresses = policy["spec"]["egress"]
    assert [port["port"] for port in names["ports"]] == [53, 53]
    assert {port["port"] for port in addresses["ports"]} == {443, 6443, 4222, 4223, 15090}


def test_what_is_only_told_to_people_opens_no_port() -> None:
    """The links are to port 3000, and to 443 by `public_url`."""
    found = rendered("--values", CHART / "ci" / "outside-values.yaml", "--set", "networkPolicy.egressPorts={6443}")
    assert [port["port"] for port in one(found, "NetworkPolicy")["spec"]["egress"][1]["ports"]] == [6443, 9090]


def test_with_an_embedded_broker_no_port_of_one_is_open(default: list[Json]) -> None:
    assert [port["port"] for port in one(default, "NetworkPolicy")["spec"]["egress"][1]["ports"]] == [443, 6443, 9090]


def test_the_broker_has_a_volume_that_outlives_the_release_and_the_image_that_holds_it(default: list[Json]) -> None:
    claim = one(default, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    images = {pod["spec"]["containers"][0]["image"] for pod in pods(default)}
    assert images == {f"verdictd:{__version__}-embedded"}
    given = variant("nats-values.yaml")
    assert not [each for each in given if each["kind"] == "PersistentVolumeClaim"]
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(given)} == {f"verdictd:{__version__}"}


def test_alerts_and_dashboards_come_with_it_when_asked_for(tmp_path: Path) -> None:
    found = variant("everything-values.yaml")
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(one(found, "PrometheusRule", "watchdog")["spec"]), encoding="utf-8")
    subprocess.run([require("promtool"), "check", "rules", rules], capture_output=True, timeout=30, check=True)
    boards = one(found, "ConfigMap", "watchdog-dashboards")
    assert set(boards["data"]) == {"fleet.json", "health.json", "release.json"}
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"
    labels = one(found, "Service", "watchdog")["metadata"]["labels"]
    monitored = one(found, "ServiceMonitor", "watchdog")["spec"]["selector"]["matchLabels"]
    assert monitored.items() <= labels.items()


def test_an_ingress_ends_tls_for_the_host_that_links_name_and_its_controller_is_let_in(default: list[Json]) -> None:
    assert not [each for each in default if each["kind"] == "Ingress"]
    found = variant("outside-values.yaml")
    ingress = one(found, "Ingress")["spec"]
    (rule,) = ingress["rules"]
    assert ingress["tls"] == [{"hosts": [rule["host"]], "secretName": "verdictd-tls"}]
    assert settings_in(found)["http"]["public_url"] == f"https://{rule['host']}"
    (path,) = rule["http"]["paths"]
    service = one(found, "Service")
    assert path["backend"]["service"] == {
        "name": service["metadata"]["name"],
        "port": {"name": service["spec"]["ports"][0]["name"]},
    }
    (who,) = one(found, "NetworkPolicy")["spec"]["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}} in who["from"]


def test_an_ingress_without_a_secret_has_tls_all_the_same() -> None:
    ingress = one(rendered("--set", "ingress.enabled=true", "--set", "ingress.host=v.example.com"), "Ingress")["spec"]
    assert ingress["tls"] == [{"hosts": ["v.example.com"]}]


def test_where_reading_takes_a_token_whoever_reads_has_it() -> None:
    """Commands in the daemon's pod, `helm test`, and Prometheus."""
    found = variant("outside-values.yaml")
    file = settings_in(found)["http"]["token_file"]
    daemon, test = one(found, "Deployment")["spec"]["template"]["spec"], one(found, "Pod", "verdictd-test")["spec"]
    for pod in (daemon, test):
        (container,) = pod["containers"]
        assert {"name": "VERDICTD_TOKEN_FILE", "value": file} in container["env"]
        (mount,) = (each for each in container["volumeMounts"] if each["mountPath"] == str(Path(file).parent))
        (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
        assert volume["secret"]["secretName"] == "verdictd-token"
    found = rendered("--set", "metrics.serviceMonitor.enabled=true,config.http.read=token")
    (scraped,) = one(found, "ServiceMonitor")["spec"]["endpoints"]
    assert scraped["authorization"]["credentials"] == {"name": "verdictd-token", "key": "token"}


def test_prometheus_shows_a_token_that_reads_only_where_one_is_named_and_whoever_names_none_is_warned(
    tmp_path: Path,
) -> None:
    found = variant("outside-values.yaml")
    (scraped,) = one(found, "ServiceMonitor")["spec"]["endpoints"]
    credentials = scraped["authorization"]["credentials"]
    assert credentials == {"name": "verdictd-prometheus", "key": "bearer"}
    caller = settings_in(found)["http"]["callers"]["prometheus"]
    assert caller == {"token_file": f"/etc/verdictd-prometheus/{credentials['key']}", "scopes": ["read"]}
    closed = ("--set", "config.http.read=token", "--set", "metrics.serviceMonitor.enabled=true")
    warning = "WARNING: Prometheus has the daemon's own token"
    assert warning in notes(tmp_path / "chart", *closed)
    assert warning not in notes(tmp_path / "chart", *closed, "--set", "metrics.serviceMonitor.token.existingSecret=reader")
    assert warning not in notes(tmp_path / "chart", "--set", "metrics.serviceMonitor.enabled=true")


def test_where_the_api_speaks_tls_probes_commands_and_prometheus_do_too() -> None:
    found = variant("tls-values.yaml")
    daemon, test = one(found, "Deployment")["spec"]["template"]["spec"], one(found, "Pod", "verdictd-test")["spec"]
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    assert {daemon["containers"][0][probe]["httpGet"]["scheme"] for probe in probes} == {"HTTPS"}
    server = "https://verdictd.verdictd.svc:8484"
    assert test["containers"][0]["args"] == ["status", "--server", server]
    for pod in (daemon, test):
        (container,) = pod["containers"]
        said = {each["name"]: each["value"] for each in container["env"]}
        assert said == {"VERDICTD_SERVER": server, "VERDICTD_CA_FILE": "/etc/verdictd-tls/ca.crt"}
        assert "/etc/verdictd-tls" in {mount["mountPath"] for mount in container["volumeMounts"]}
    (scraped,) = one(found, "ServiceMonitor")["spec"]["endpoints"]
    assert (scraped["scheme"], scraped["tlsConfig"]["serverName"]) == ("https", "verdictd.verdictd.svc")
    assert 8484 in [port["port"] for port in one(found, "NetworkPolicy")["spec"]["egress"][1]["ports"]]


def notes(chart: Path, *words: str) -> str:
    """What whoever installs it so is told: by a copy of the chart that renders it, since Helm shows it to a cluster only."""
    shutil.copytree(CHART, chart, dirs_exist_ok=True)
    shutil.move(chart / "templates" / "NOTES.txt", chart / "files" / "notes.txt")
    told = '{{ tpl (.Files.Get "files/notes.txt") . | toJson }}'
    document = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notes}}\ndata: {{notes: {told}}}\n"
    (chart / "templates" / "notes.yaml").write_text(document, encoding="utf-8")
    text = helm("template", "verdictd", chart, "--namespace", NAMESPACE, "--show-only", "templates/notes.yaml", *words)
    return str(yaml.safe_load(text)["data"]["notes"])


def settings_in(found: list[Json]) -> Json:
    settings: Json = yaml.safe_load(one(found, "ConfigMap")["data"]["verdictd.yaml"])
    return settings


def test_out_of_the_box_there_is_nothing_that_a_bare_cluster_does_not_know(default: list[Json]) -> None:
    assert not [each["kind"] for each in default if each["apiVersion"].startswith("monitoring.coreos.com")]


def test_what_is_packed_has_everything_that_is_rendered(default: list[Json], tmp_path: Path) -> None:
    """The token differs: it is made anew where there is no cluster that has one."""
    helm("package", CHART, "--destination", tmp_path)
    (archive,) = tmp_path.glob("*.tgz")
    packed = list(objects(helm("template", "verdictd", archive, "--namespace", NAMESPACE)))
    assert [each for each in packed if each["kind"] != "Secret"] == [each for each in default if each["kind"] != "Secret"]
