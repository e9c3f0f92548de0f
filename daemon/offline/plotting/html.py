"""A page that needs nothing else, no script and no network: its frame, in light and dark, and its tables."""

from collections.abc import Iterable
from html import escape

from daemon.offline.plotting.svg import STYLE

_STYLE = (
    """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #6b7280; --line: #d6d9de; --ground: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #9aa0a6; --line: #3c4043; --ground: #16181b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 1.8rem 0 .3rem; } p.lead { font-size: 1.1rem; }
table { border-collapse: collapse; } td, th { padding: .15rem 1rem .15rem 0; vertical-align: top; text-align: left; }
th { color: var(--soft); font-weight: normal; } td.n { text-align: right; white-space: nowrap; }
.BEYOND, .CONVICTS { color: #e45756; font-weight: bold; } .soft, .key { color: var(--soft); } code { overflow-wrap: anywhere; }
.key span { margin-right: 1.2rem; } .key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; }
"""
    + STYLE
)


def document(title: str, sections: Iterable[str]) -> str:
    """The whole document. The title is plain text, the sections are HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{''.join(sections)}</body></html>\n"
    )


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what is said of them, both plain text."""
    body = "".join(f"<tr><th>{escape(name)}<td>{escape(text)}</tr>" for name, text in rows)
    return f"<table>{body}</table>"
