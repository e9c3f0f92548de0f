"""What a kubelet would do with a pod, where there is none: its files are laid out in a folder, and its program is a process.

There is no container, so a mount is a folder elsewhere: where arguments, environment or files name its path, they name that folder.
All else is what the API server has: the arguments, the ConfigMaps and Secrets, and a token of the pod's account.
"""

import asyncio
import base64
import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from tests.packaging.installation import ROOT
from tests.packaging.manifests import Json
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import until

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Where the account's files are is a constant of the library that reads them.
_ENTRYPOINT = """
import os, sys
if where := os.environ.get("ACCOUNT_FOLDER"):
    from kubernetes_asyncio.config import incluster_config
    incluster_config.SERVICE_TOKEN_FILENAME = where + "/token"
    incluster_config.SERVICE_CERT_FILENAME = where + "/ca.crt"
from daemon.cli import main
sys.exit(main())
"""
_ENTRY = (sys.executable, "-c", _ENTRYPOINT)
_ENDS_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A pod's only container as a process: the image's entry point with the pod's arguments."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    elsewhere: Mapping[str, str]
    """Where on this machine what it calls so is."""

    def also(self, *arguments: str) -> "Program":
        """What `kubectl exec` runs beside it: the same program with other arguments."""
        return replace(self, argv=(*_ENTRY, *(_rewritten(word, self.elsewhere) for word in arguments)))

    async def ended(self) -> tuple[int, str]:
        """Run it to its end; gives its exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            *self.argv,
            env=dict(self.env),
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(_ENDS_SECONDS):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, said.decode()


async def laid_out(
    api: KubeApiServer, pod: Json, *, namespace: str, folder: Path, addresses: Mapping[str, str] | None = None
) -> Program:
    """A pod's program, ready to be run. ``addresses``: those of its network, each with the one on this machine in its place."""
    (container,) = pod["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container.get("volumeMounts", [])}
    elsewhere = dict(addresses or {}) | {path: str(folder) + path for path in mounts}
    for path, volume in mounts.items():
        target = folder / path.lstrip("/")
        target.mkdir(parents=True)
        for name, content in (await _files(api, volume, namespace=namespace)).items():
            (target / name).write_text(_rewritten(content, elsewhere), encoding="utf-8")
    env = {entry["name"]: entry["value"] for entry in container.get("env", [])}
    said = {name: _rewritten(value, elsewhere) for name, value in (_image_env(container["image"]) | env).items()}
    if pod["spec"]["automountServiceAccountToken"]:
        said |= await _account(api, pod["spec"]["serviceAccountName"], namespace=namespace, folder=folder)
    arguments = [_rewritten(word, elsewhere) for word in container["args"]]
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), **said}
    return Program(argv=(*_ENTRY, *arguments), env=env, elsewhere=elsewhere)


async def played_check(api: KubeApiServer, *, namespace: str, folder: Path) -> tuple[int, str]:
    """What nodes and controllers would do for the Job that Helm waits for before an installation: gives how its pod has ended."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/verdictd-check"

    async def new() -> bool:
        """Not one of an earlier installation, whose pod has ended."""
        async with api.session() as session, session.get(path) as answer:
            job = await answer.json()
            return answer.status == 200 and "conditions" not in job["status"]

    await until(new, within=60.0)
    program = await laid_out(api, (await get(api, path))["spec"]["template"], namespace=namespace, folder=folder)
    code, said = await program.ended()
    await _job_ended(api, path, well=code == 0)
    return code, said


async def _job_ended(api: KubeApiServer, path: str, *, well: bool) -> None:
    """What the controller of Jobs would say of one whose pod has ended."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kinds = ("SuccessCriteriaMet", "Complete") if well else ("FailureTarget", "Failed")
    said = [{"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now} for kind in kinds]
    counts = {"succeeded": 1, "completionTime": now} if well else {"failed": 1}
    status = {"startTime": now, "conditions": said, "uncountedTerminatedPods": {}, "ready": 0, "terminating": 0, **counts}
    headers = {"Content-Type": "application/merge-patch+json"}
    async with api.session() as session, session.patch(f"{path}/status", json={"status": status}, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()


async def _files(api: KubeApiServer, volume: Json, *, namespace: str) -> dict[str, str]:
    """What is in a volume; one that is not of the API server is empty in the beginning."""
    core = f"/api/v1/namespaces/{namespace}"
    match volume:
        case {"configMap": {"name": name}}:
            found: dict[str, str] = (await get(api, f"{core}/configmaps/{name}"))["data"]
            return found
        case {"secret": {"secretName": name}}:
            kept = (await get(api, f"{core}/secrets/{name}"))["data"]
            return {key: base64.b64decode(value).decode() for key, value in kept.items()}
        case {"emptyDir": _}:
            return {}
        case {"persistentVolumeClaim": {"claimName": name}}:
            await get(api, f"{core}/persistentvolumeclaims/{name}")
            return {}
        case _:
            raise AssertionError(f"no volume that is known: {volume}")


async def _account(api: KubeApiServer, name: str, *, namespace: str, folder: Path) -> dict[str, str]:
    """Lay out what a pod gets of its account; gives the environment that says where it is, and where the API server."""
    where = folder / _ACCOUNT.lstrip("/")
    where.mkdir(parents=True)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    async with api.session() as session, session.post(path, json=asked) as answer:
        made = await answer.json()
        assert answer.status == 201, made
    (where / "token").write_text(made["status"]["token"], encoding="utf-8")
    (where / "ca.crt").write_bytes(api.ca.read_bytes())
    (where / "namespace").write_text(namespace, encoding="utf-8")
    there = urlsplit(api.url)
    return {
        "ACCOUNT_FOLDER": str(where),
        "KUBERNETES_SERVICE_HOST": str(there.hostname),
        "KUBERNETES_SERVICE_PORT": str(there.port),
    }


async def get(api: KubeApiServer, path: str) -> Json:
    """An object, which must be there."""
    async with api.session() as session, session.get(path) as answer:
        found: Json = await answer.json()
        assert answer.status == 200, found
        return found


def _image_env(image: str) -> dict[str, str]:
    """What the image itself sets of our settings, by its recipe."""
    recipe = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return dict(re.findall(r"^ENV (VERDICTD_\w+)=(\S+)$", recipe, re.MULTILINE)) if image.endswith("-embedded") else {}


def _rewritten(text: str, elsewhere: Mapping[str, str]) -> str:
    """The longest first: one path may begin as another does."""
    if not elsewhere:
        return text
    pattern = "|".join(re.escape(one) for one in sorted(elsewhere, key=len, reverse=True))
    return re.sub(pattern, lambda found: elsewhere[found[0]], text)
