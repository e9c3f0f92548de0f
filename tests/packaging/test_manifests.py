"""The plain manifests: they fit the settings and the image, and grant the least."""

from pathlib import Path

import yaml

from daemon.settings import load_settings
from tests.packaging.installation import ROOT
from tests.packaging.manifests import Json, documents, the


def pod() -> Json:
    spec: Json = the("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> Json:
    (only,) = pod()["containers"]
    assert isinstance(only, dict)
    return only


def test_the_settings_are_settings(tmp_path: Path) -> None:
    """The daemon itself reads them, and refuses every key that it does not know."""
    file = tmp_path / "verdictd.yaml"
    file.write_text(the("ConfigMap")["data"]["verdictd.yaml"], encoding="utf-8")
    settings = load_settings(file)
    assert list(settings.meshes) == ["istio"]
    assert settings.policies["default"].mode == "observe"


def test_the_settings_point_to_what_is_mounted_and_exposed() -> None:
    settings = yaml.safe_load(the("ConfigMap")["data"]["verdictd.yaml"])
    mounts = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    assert volumes[mounts[str(Path(settings["http"]["token_file"]).parent)]]["secret"]["secretName"] == "verdictd-token"
    assert volumes[mounts[str(Path(container()["args"][-1]).parent)]]["configMap"]["name"] == "verdictd"
    assert settings["http"]["listen"].endswith(f":{container()['ports'][0]['containerPort']}")


def test_as_many_run_as_are_told_that_they_share_the_work_and_one_at_a_time_may_go() -> None:
    settings = yaml.safe_load(the("ConfigMap")["data"]["verdictd.yaml"])
    deployment = the("Deployment")["spec"]
    assert deployment["replicas"] == settings["replicas"]["count"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    budget = the("PodDisruptionBudget")["spec"]
    assert (budget["maxUnavailable"], budget["selector"]) == (1, deployment["selector"])
    labels = deployment["template"]["metadata"]["labels"]
    for each in pod()["topologySpreadConstraints"]:
        assert each["labelSelector"]["matchLabels"].items() <= labels.items()


def test_the_pod_runs_as_the_image_does_and_writes_nothing() -> None:
    user = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("USER ")[1].split(":", maxsplit=1)[0]
    context = pod()["securityContext"]
    assert (str(context["runAsUser"]), context["runAsNonRoot"]) == (user, True)
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_probes_ask_the_two_questions_apart() -> None:
    """A broker that is away makes the pod unready, never restarts it."""
    assert container()["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container()["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_grace_is_longer_than_the_daemon_takes_to_stop() -> None:
    assert pod()["terminationGracePeriodSeconds"] > 5


def test_only_routes_and_the_status_of_their_owners_may_be_changed_and_events_written_and_no_rule_has_a_wildcard() -> None:
    rules = [
        (role["metadata"]["name"], resource, verb)
        for role in documents()
        if role["kind"] == "ClusterRole"
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    consul = ("servicerouters", "servicesplitters", "serviceresolvers")
    routes = ("httproutes", "grpcroutes", "tlsroutes", "tcproutes", "virtualservices")
    linkerd = ("httproutes", "serviceprofiles")
    changed = (*consul, *routes, *linkerd, "trafficsplits", "rollouts/status", "canaries/status")
    assert [rule for rule in rules if rule[2] not in {"get", "list", "watch"}] == [
        ("verdictd-observe", "events", "create"),
        *(("verdictd-enforce", one, "patch") for one in changed),
    ]
    assert not [rule for rule in rules if "*" in rule]


def test_out_of_the_box_nothing_can_be_patched() -> None:
    bound = [one["roleRef"]["name"] for one in documents() if one["kind"].endswith("Binding")]
    assert bound == ["verdictd-find-routes"]


def test_no_image_names_a_host() -> None:
    assert "/" not in container()["image"]


def test_only_namespaces_with_the_label_get_in() -> None:
    (rule,) = the("NetworkPolicy")["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"verdictd-access": "true"}}}]
    assert [port["port"] for port in rule["ports"]] == ["http"]
