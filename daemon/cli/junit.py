"""A verdict as one test case in the JUnit form, which every CI shows: passed, failed, skipped where nothing was shown either way,
and an error where there is no verdict. It goes by the exit code, so that report and step never disagree.
"""

from xml.etree import ElementTree as ET

from daemon.cli.ending import Ending
from daemon.cli.exits import Exit


def document(ending: Ending) -> str:
    """``verdictd.xml``."""
    kind = _kind(ending.code)
    counts = {
        plural: str(int(kind == name)) for plural, name in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    seconds = f"{ending.seconds:.1f}"
    suites = ET.Element("testsuites", name="verdictd", tests="1", time=seconds, **counts)
    suite = ET.SubElement(suites, "testsuite", name="verdictd", tests="1", time=seconds, **counts)
    case = ET.SubElement(suite, "testcase", classname=ending.service.replace("/", "."), name="verdict", time=seconds)
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
