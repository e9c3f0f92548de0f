"""What docs/nomad.md shows can be written: its settings are read, and its release is one."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from daemon.meshes.nomad.mesh import NomadMesh
from daemon.model import Release
from daemon.settings import load_settings

PAGE = Path(__file__).parents[2] / "docs" / "nomad.md"


def test_the_settings_and_the_release_are_read(tmp_path: Path) -> None:
    settings, release = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (tmp_path / "settings.yaml").write_text(settings)
    (mesh,) = load_settings(tmp_path / "settings.yaml").meshes.values()
    assert isinstance(mesh, NomadMesh)
    assert msgspec.convert(yaml.safe_load(release), Release).canary.service == "web-canary"


def test_a_key_without_a_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match="client_key_file is given and client_certificate_file is not"):
        NomadMesh(telemetry="t", address="https://127.0.0.1:4646", client_key_file="/k")
