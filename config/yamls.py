"""YAML from outside, read by the loader in C and bounded in what it may become.

A few hundred bytes of YAML can stand for billions of values (aliases of aliases), a few thousand end the process (the loader in C
overflows its stack on what is nested too deep), and one number can take seconds to read (base 60). So a document is first looked
at as a flat row of events, which costs no stack, then composed, measured with its aliases unfolded, and only then made into values.
"""

from typing import Any

import yaml

MAX_DEPTH = 100
MAX_DIGITS = 300
"""More is more than a floating-point number can hold, in base 60 and below; settings need at most 19."""

# Each is compared with all before it, ahead of the first event.
_MAX_TAGS = 100
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class Excessive(yaml.YAMLError):
    """A document that is YAML, and more of it than is read."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # which of the two depends on the wheel
    """The safe loader, in C where the wheel brings it, that refuses numbers of any length."""


def load(text: str | bytes, *, max_values: int) -> Any:
    """A document as plain values; null for an empty one. Raises ``yaml.YAMLError`` for whatever is wrong with it."""
    node = compose(text, max_values=max_values)
    return None if node is None else construct(node)


def compose(text: str | bytes, *, max_values: int) -> yaml.Node | None:
    """A document as nodes, at most 100 levels and ``max_values`` values of them with all aliases unfolded.

    Raises:
        yaml.YAMLError: it is not YAML; ``Excessive``: it is too much.
    """
    _look_over(text, max_values=max_values)
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    if node is not None:
        _Measure(max_values=max_values).of(node)
    return node


def construct(node: yaml.Node) -> Any:
    """Composed nodes as plain values. Raises ``yaml.YAMLError``."""
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise
    except Exception as error:
        # A value that its tag does not fit (a date such as 2026-02-30, !!int ""): the library lets out whatever it trips over.
        raise yaml.YAMLError(f"a value does not fit its type: {error}") from error
    finally:
        loader.dispose()


def too_long(node: yaml.Node) -> bool:
    """Whether this is a number of so many digits that reading it could take long, or fail."""
    return node.tag in _NUMBERS and len(str(node.value)) > MAX_DIGITS


def _look_over(text: str | bytes, *, max_values: int) -> None:
    if (text.count(b"%TAG") if isinstance(text, bytes) else text.count("%TAG")) > _MAX_TAGS:
        raise Excessive(f"holds more than {_MAX_TAGS} %TAG directives")
    depth = values = 0
    for event in yaml.parse(text, Loader=_Loader):
        match event:
            case yaml.CollectionStartEvent():
                depth += 1
                values += 1
            case yaml.CollectionEndEvent():
                depth -= 1
            case yaml.ScalarEvent() | yaml.AliasEvent():
                values += 1
            case _:
                pass
        if depth > MAX_DEPTH:
            raise Excessive(f"line {_line(event)}: is nested more than {MAX_DEPTH} levels deep")
        if values > max_values:
            raise Excessive(f"line {_line(event)}: holds more than {max_values} values")


class _Measure:
    """How much a document is with its aliases unfolded; each node is counted once, however often it is referred to."""

    def __init__(self, *, max_values: int) -> None:
        self._max_values = max_values
        self._known: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def of(self, node: yaml.Node) -> tuple[int, int]:
        """Values and levels of a node. Raises ``Excessive``."""
        if not isinstance(node, yaml.CollectionNode):
            return 1, 0
        if id(node) in self._known:
            return self._known[id(node)]
        if id(node) in self._open:
            raise Excessive(f"line {_line(node)}: contains itself through an alias")
        self._open.add(id(node))
        values, depth = 1, 0
        for item in _children(node):
            more, below = self.of(item)
            values, depth = values + more, max(depth, below)
        if values > self._max_values:
            raise Excessive(f"line {_line(node)}: its aliases unfold to more than {self._max_values} values")
        if depth >= MAX_DEPTH:
            raise Excessive(f"line {_line(node)}: its aliases unfold to more than {MAX_DEPTH} levels")
        self._open.remove(id(node))
        self._known[id(node)] = values, depth + 1
        return self._known[id(node)]


def _children(node: yaml.CollectionNode) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value)


def _line(of: yaml.Event | yaml.Node) -> int:
    return 0 if of.start_mark is None else int(of.start_mark.line) + 1


def _number(loader: Any, node: yaml.ScalarNode) -> Any:
    if too_long(node):
        raise Excessive(f"line {_line(node)}: is a number of {len(node.value)} digits")
    whole = node.tag == _NUMBERS[0]
    return loader.construct_yaml_int(node) if whole else loader.construct_yaml_float(node)


for _tag in _NUMBERS:
    _Loader.add_constructor(_tag, _number)
