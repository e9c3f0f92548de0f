"""The page's modules as one script, for a page in a file: there a browser may load no module beside it.

Each module becomes a function that is called once, so that no name of one meets that of another. Only what the page's own modules
do is understood: imports of names from files beside, in one line each, and exports of functions and constants where they are made.
"""

import re
from collections.abc import Mapping
from typing import Final

_IMPORT: Final = re.compile(r'^import \{ ([^}\n]+) \} from "\./(\w+\.js)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:const|function) (\w+))", re.MULTILINE)


def bundled(bodies: Mapping[str, bytes], first: str) -> str:
    """The module ``first`` and all that it imports, in an order in which each is there before it is needed."""
    made: dict[str, str] = {}
    _take(bodies, first, made)
    return "".join(made.values())


def _take(bodies: Mapping[str, bytes], name: str, made: dict[str, str]) -> None:
    if name in made:
        return
    text = bodies[name].decode()
    for _, other in _IMPORT.findall(text):
        _take(bodies, other, made)
    exported = ", ".join(_EXPORT.findall(text))
    body = _EXPORT.sub("", _IMPORT.sub(lambda found: f"const {{ {found[1]} }} = {_called(found[2])};", text))
    made[name] = f'const {_called(name)} = (() => {{\n"use strict";\n{body}return {{ {exported} }};\n}})();\n'


def _called(name: str) -> str:
    return f"module_{name.removesuffix('.js')}"
