"""A verdict as one test case in the JUnit form, which every CI shows: passed, failed, skipped where nothing was shown either way,
and an error where there is no verdict. It goes by the exit code, so that report and step never disagree.
"""

from xml.etree import ElementTree as ET

from daemon.cli.ending import Ending
from daemon.cli.exits import Exit


def document(ending: Ending) -> str:
    """``verdictd.xml``."""
    kind = _kind(ending.code)
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    about = {
        "name": "verdictd",
        "tests": "1",
        "time": f"{ending.seconds:.1f}",
        **{of: str(int(kind == one)) for of, one in counts.items()},
    }
    suites = ET.Element("testsuites", about)
    suite = ET.SubElement(suites, "testsuite", about)
    case = ET.SubElement(suite, "testcase", classname=ending.service.replace("/", "."), name="verdict", time=about["time"])
    if kind is not None:
        ET.SubElement(case, kind, message=ending.reason, type=ending.outcome)
    ET.SubElement(case, "system-out").text = "\n".join([ending.reason, *ending.findings, ending.url])
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _kind(code: Exit | None) -> str | None:
    match code:
        case Exit.OK:
            return None
        case Exit.INCONCLUSIVE:
            return "skipped"
        case Exit.TIMEOUT | None:
            return "error"
        case _:
            return "failure"
