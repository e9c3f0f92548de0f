"""``--output``: a verdict told to the tool that runs the pipeline, in that tool's own form.

What cannot be written is refused before anything is waited for. Files say at first that there is no verdict, so that none of an
earlier job is left for this one's; after the verdict nothing here can change the exit code.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from daemon.cli import gitlabjob, junit
from daemon.cli.ending import Ending, without_verdict
from daemon.cli.githubjob import GithubJob
from daemon.errors import InvalidInput

Write = Callable[[Ending], None]


class JobReports:
    """What is told, and where: texts of files, and what is written otherwise."""

    def __init__(self, *, files: Mapping[Path, Callable[[Ending], str]], others: Sequence[Write] = ()) -> None:
        self._files = files
        self._others = others

    def tell(self, ending: Ending) -> None:
        """The end. Raises ``OSError``."""
        self.write_files(ending)
        for write in self._others:
            write(ending)

    def write_files(self, ending: Ending) -> None:
        """What may be written over and over. Raises ``OSError``."""
        for path, text in self._files.items():
            path.write_text(text(ending), encoding="utf-8", newline="\n")


def chosen(options: argparse.Namespace, *, environ: Mapping[str, str]) -> JobReports:
    """Those of ``options.output``. Raises ``InvalidInput`` where the tool is not there, or a file cannot be written."""
    reports = _of(options.output, Path(options.output_dir), environ)
    nothing = without_verdict("unknown", None, code=None, reason="the wait ended without a verdict", url="")
    try:
        reports.write_files(nothing)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
        raise InvalidInput(reason, path="--output-dir", fix="name a folder that is there and can be written to") from error
    return reports


def _of(output: str | None, folder: Path, environ: Mapping[str, str]) -> JobReports:
    match output:
        case "github":
            return JobReports(files={}, others=[GithubJob.of(environ).tell])
        case "gitlab":
            return JobReports(files={folder / "verdictd.env": gitlabjob.dotenv, folder / "verdictd.xml": junit.document})
        case "junit":
            return JobReports(files={folder / "verdictd.xml": junit.document})
        case _:
            return JobReports(files={})
