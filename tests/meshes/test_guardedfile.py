"""Replacing a file that others write too, on a real file system."""

import os
import stat
from pathlib import Path

import pytest

from daemon.errors import Conflict, Forbidden, NotFound, Refused, Unavailable
from daemon.meshes.envoy import guardedfile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "routes.yaml"
    file.write_text("one")
    file.chmod(0o640)
    return file


def test_the_new_content_takes_the_files_place_with_its_mode_and_leaves_nothing_behind(path: Path) -> None:
    before = path.stat().st_ino
    renamed = guardedfile.replace(path, b"two", was=guardedfile.read(path))
    assert path.read_text() == "two"
    assert path.stat().st_ino != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert renamed.began_at <= renamed.ended_at
    assert list(path.parent.iterdir()) == [path]


def test_a_change_by_somebody_else_is_a_conflict_and_survives(path: Path) -> None:
    snapshot = guardedfile.read(path)
    path.write_text("theirs")
    with pytest.raises(Conflict, match="changed by somebody else"):
        guardedfile.replace(path, b"two", was=snapshot)
    assert path.read_text() == "theirs"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_gone_is_not_found(path: Path) -> None:
    snapshot = guardedfile.read(path)
    path.unlink()
    with pytest.raises(NotFound):
        guardedfile.read(path)
    with pytest.raises(NotFound):
        guardedfile.replace(path, b"two", was=snapshot)


def test_a_symbolic_link_is_refused(path: Path) -> None:
    link = path.parent / "link.yaml"
    link.symlink_to(path)
    with pytest.raises(Refused, match="symbolic link"):
        guardedfile.read(link)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "routes.yaml")
    with pytest.raises(Refused, match="no regular file"):
        guardedfile.read(tmp_path / "routes.yaml")


def test_a_folder_in_its_place_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        guardedfile.read(tmp_path)


@pytest.mark.parametrize(
    ("raised", "ours"), [(PermissionError(13, "Permission denied"), Forbidden), (OSError(28, "full"), Unavailable)]
)
def test_what_the_file_system_refuses_becomes_an_error_of_ours(
    path: Path, monkeypatch: pytest.MonkeyPatch, raised: OSError, ours: type[Exception]
) -> None:
    """Root may write anywhere, so the refusals are made here."""
    snapshot = guardedfile.read(path)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise raised

    with monkeypatch.context() as patched:
        patched.setattr("tempfile.mkstemp", refuse)
        with pytest.raises(ours):
            guardedfile.replace(path, b"two", was=snapshot)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(Unavailable):
            guardedfile.replace(path, b"two", was=snapshot)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", refuse)
        with pytest.raises(ours):
            guardedfile.replace(path, b"two", was=snapshot)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        with pytest.raises(ours):
            guardedfile.read(path)
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]
