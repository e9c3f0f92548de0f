"""A job of GitLab CI: variables for the jobs after it, as a dotenv report.

GitLab reads such a file line by line, with no quotes, blanks or comments in it: only words that cannot have any are told, so that
nothing from outside can set a variable of its own. The sentence is in the JUnit report beside it.
"""

import re

from daemon.cli.ending import Ending

_WORD = re.compile(r"[!-~]*")


def dotenv(ending: Ending) -> str:
    """``verdictd.env``."""
    values = {
        "VERDICTD_RELEASE": ending.release_id,
        "VERDICTD_OUTCOME": ending.outcome,
        "VERDICTD_MEANING": ending.meaning,
        "VERDICTD_ACTION": ending.action,
        "VERDICTD_CODE": ending.said_code,
        "VERDICTD_URL": ending.url,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items() if _WORD.fullmatch(value))
