"""What docs/consul.md shows is what happens: its settings are read, its release is one, its entry becomes the one that is shown."""

import re
from pathlib import Path

import msgspec
import yaml

from daemon.meshes.consul.entries import edited, of_api
from daemon.meshes.consul.routes import revert
from daemon.meshes.consulkubernetes.mesh import ConsulKubernetesMesh
from daemon.model import Release
from daemon.settings import load_settings
from tests.meshes.consul_entries import ARMS

PAGE = Path(__file__).parents[2] / "docs" / "consul.md"


def test_the_settings_and_the_release_are_read_and_the_entry_becomes_what_is_shown(tmp_path: Path) -> None:
    settings, release, before, after, kubernetes = re.findall(
        r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "settings.yaml").write_text(settings)
    assert list(load_settings(tmp_path / "settings.yaml").meshes) == ["machines"]
    (tmp_path / "kubernetes.yaml").write_text(kubernetes)
    assert load_settings(tmp_path / "kubernetes.yaml").meshes == {"cluster": ConsulKubernetesMesh(telemetry="prometheus")}
    assert msgspec.convert(yaml.safe_load(release), Release).canary.subset == "v2"
    entry = of_api(yaml.safe_load(before))
    assert edited(entry, revert(entry, arms=ARMS).edits) == yaml.safe_load(after)
