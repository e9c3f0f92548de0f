"""A page in a file that needs nothing else: words that are there at once, and watches that the page's own code draws.

It is the code and the style of the page that the daemon serves, inside the file, beside the watches as data. Nothing is loaded, and
a browser is told to run this script alone: whatever else comes into the file is text.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import msgspec

from analyzers.ruling import Finding
from daemon import ui
from daemon.courses.shapes import Course
from daemon.ui.bundle import bundled

_MODULE: Final = "report.js"


class StepDrawn(msgspec.Struct, frozen=True, kw_only=True):
    """A step as a line over time: ``t`` seconds after the watch began."""

    t: float
    label: str


class WatchDrawn(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn of one watch. ``leg`` is the one that convicts."""

    course: Course
    findings: tuple[Finding, ...] = ()
    leg: str | None = None
    boundary: float | None = None
    steps: tuple[StepDrawn, ...] = ()


def document(title: str, sections: Iterable[str], *, watches: Sequence[WatchDrawn] = (), outcome: str = "") -> str:
    """The whole document. The title is plain text, the sections are HTML; each place of a watch takes the next of ``watches``."""
    bodies = ui.bodies()
    style, script = bodies["page.css"].decode(), bundled(bodies, _MODULE) if watches else ""
    policy = f"default-src 'none'; script-src {_allowed(script)}; style-src {_allowed(style)}; base-uri 'none'; form-action 'none'"
    data = msgspec.json.encode(watches).decode().replace("<", "\\u003c")
    drawing = f'<script type="application/json" id="watches">{data}</script><script>{script}</script>' if watches else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f'<body class="one report" data-state="{escape(outcome)}"><header><h1>{escape(title)}</h1></header>'
        f"<main>{''.join(sections)}</main>{drawing}</body></html>\n"
    )


def place_of_watch(instead: str = "") -> str:
    """Where the next watch is drawn. ``instead``: HTML of what each quantity says, for where no script runs."""
    hidden = "" if instead else " hidden"
    return (
        f'<section class="watch"><div class="legs-part"{hidden}><h2>What each line of evidence says</h2>'
        f'<p class="legs-key key soft"></p><div class="legs">{instead}</div></div>'
        '<div class="charts"><noscript>The charts are drawn by a script.</noscript></div>'
        '<div class="pods-part" hidden><h2>Pods</h2><div class="pods-told"></div></div></section>'
    )


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what is said of them, both plain text."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows)
    return f'<table class="said-of">{body}</table>'


def _allowed(text: str) -> str:
    """Exactly this text, in the words of a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
