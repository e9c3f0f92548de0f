"""``verdictd completion``: what completes the command line in a shell, made from the parser: it knows what that knows.

The text is whole by itself: no TAB starts Python.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote

from daemon.cli.exits import Exit

_FILES = frozenset({"FILE", "DIR", "RECORDING", "FILE|RELEASE"})


@dataclass(frozen=True, slots=True)
class _Word:
    """An option, or a place for a word. Without ``value`` it takes none."""

    name: str
    about: str
    value: str | None
    choices: Sequence[str]

    @property
    def file(self) -> bool:
        return self.value in _FILES


@dataclass(frozen=True, slots=True)
class _Command:
    about: str
    options: Sequence[_Word]
    places: Sequence[_Word]


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    from daemon.cli.parser import build  # at its call: the parser names this module

    commands = _commands(build())
    write = {"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell]
    print("\n".join(write(commands)))
    return Exit.OK


def _commands(parser: argparse.ArgumentParser) -> dict[str, _Command]:
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    about = {action.dest: action.help or "" for action in commands._choices_actions}  # noqa: SLF001 - argparse has no public way
    return {name: _command(one, about.get(name, "")) for name, one in commands.choices.items()}


def _command(parser: argparse.ArgumentParser, about: str) -> _Command:
    actions = [action for action in parser._actions if action.help is not argparse.SUPPRESS]  # noqa: SLF001
    options = [_word(action, name) for action in actions for name in action.option_strings if name.startswith("--")]
    return _Command(about, options, [_word(action, action.dest) for action in actions if not action.option_strings])


def _word(action: argparse.Action, name: str) -> _Word:
    takes_one = action.nargs != 0
    value = str(action.metavar or action.dest) if takes_one else None
    about = " ".join(((action.help or "") % {**vars(action), "prog": "verdictd"}).split())
    return _Word(name, about, value, [str(one) for one in action.choices or ()])


def _bash(commands: Mapping[str, _Command]) -> Iterator[str]:
    yield "_verdictd() {"
    yield '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" words='
    yield "  COMPREPLY=()"
    yield f'  if (( COMP_CWORD == 1 )); then words="{" ".join(commands)}"; else'
    yield '  case "${COMP_WORDS[1]} $before" in'
    for name, command in commands.items():
        for option in command.options:
            if option.choices:
                yield f'    "{name} {option.name}") words="{" ".join(option.choices)}" ;;'
            elif option.value is not None:
                yield f'    "{name} {option.name}") {"compopt -o default 2> /dev/null; " if option.file else ""}return 0 ;;'
    yield '    *) case "${COMP_WORDS[1]}" in'
    for name, command in commands.items():
        words = [*(one.name for one in command.options), *(choice for place in command.places for choice in place.choices)]
        files = " compopt -o default 2> /dev/null" if any(place.file for place in command.places) else " true"
        yield f'      {name}) words="{" ".join(words)}";{files} ;;'
    yield "    esac ;;"
    yield "  esac; fi"
    # No mapfile: macOS has bash 3.2. No word here has a blank.
    yield '  COMPREPLY=($(compgen -W "$words" -- "$word"))'
    yield "}"
    yield "complete -F _verdictd verdictd"


def _zsh(commands: Mapping[str, _Command]) -> Iterator[str]:
    yield "#compdef verdictd"
    yield "_verdictd() {"
    yield "  local state line"
    yield "  _arguments -C '1: :->command' '*:: :->rest'"
    yield "  case $state in"
    yield "    command) local -a commands; commands=("
    for name, command in commands.items():
        yield f"      {quote(f'{name}:{command.about}')}"
    yield "    ); _describe command commands ;;"
    yield "    rest) case $line[1] in"
    for name, command in commands.items():
        words = [f"{one.name}[{_zsh_text(one.about)}]{_zsh_value(one)}" for one in command.options]
        words += [f"*{_zsh_value(one)}" for one in command.places]
        yield f"      {name}) _arguments {' '.join(map(quote, words))} ;;"
    yield "    esac ;;"
    yield "  esac"
    yield "}"
    yield 'if [ "$funcstack[1]" = _verdictd ]; then _verdictd "$@"; else compdef _verdictd verdictd; fi'


def _zsh_value(word: _Word) -> str:
    if word.value is None:
        return ""
    what = f"({' '.join(word.choices)})" if word.choices else "_files" if word.file else " "
    return f":{_zsh_text(word.value)}:{what}"


def _zsh_text(text: str) -> str:
    """Within brackets and between colons."""
    return "".join(f"\\{one}" if one in "[]:\\" else one for one in text)


def _fish(commands: Mapping[str, _Command]) -> Iterator[str]:
    yield "complete -c verdictd -f"
    for name, command in commands.items():
        yield f"complete -c verdictd -n __fish_use_subcommand -a {name} -d {_fish_text(command.about)}"
    for name, command in commands.items():
        here = f"complete -c verdictd -n '__fish_seen_subcommand_from {name}'"
        for option in command.options:
            takes = "" if option.value is None else " -r -F" if option.file else f" -x{_fish_choices(option)}"
            yield f"{here} -l {option.name.removeprefix('--')}{takes} -d {_fish_text(option.about)}"
        for place in command.places:
            if place.choices or place.file:
                yield f"{here}{' -F' if place.file else _fish_choices(place)}"


def _fish_choices(word: _Word) -> str:
    return f" -a {_fish_text(' '.join(word.choices))}" if word.choices else ""


def _fish_text(text: str) -> str:
    """In single quotes, where fish knows two escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
