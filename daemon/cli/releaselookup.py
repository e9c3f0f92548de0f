"""A release by its id alone: the daemon is asked, and where it is away or does not know it, the recordings of the settings are."""

import sys
from pathlib import Path

from config.settings import Settings
from daemon import names, recordings
from daemon.cli.apiclient import ApiClient
from daemon.cli.rendering import clean
from daemon.errors import NotFound, TransientError, Unavailable
from daemon.model import Release

_NAME_IT = "name it by --release FILE, or by --service, --baseline and --canary"


def find(release_id: str, *, api: ApiClient, settings: Settings | None) -> Release:
    """The release.

    Raises:
        NotFound: the daemon does not know it, nor is there a recording.
        Unavailable: the daemon cannot be asked, and there is no recording.
        InvalidInput: it is no id, or its recording cannot be read.
        VerdictdError: as the daemon answers otherwise.
    """
    try:
        return api.release(release_id).release
    except (TransientError, NotFound) as error:
        recording = _recording(release_id, settings)
        if recording is None:
            folder = "no folder of recordings is in the settings (--config)"
            if settings is not None and settings.recordings.directory is not None:
                folder = f"no recording of it is in {settings.recordings.directory}"
            kind = NotFound if isinstance(error, NotFound) else Unavailable
            raise kind(f"release {release_id} cannot be found: {error}; {folder}; {_NAME_IT}") from error
        print(clean(f"verdictd: {error}; the release is taken from {recording}"), file=sys.stderr)
        header, _ = recordings.read(recording)
        return header.checked_release(path=f"{recording}:1: $.release")


def _recording(release_id: str, settings: Settings | None) -> Path | None:
    if settings is None or settings.recordings.directory is None:
        return None
    path = Path(settings.recordings.directory) / f"{names.release_id(release_id, path='ID')}.jsonl"
    return path if path.is_file() else None
