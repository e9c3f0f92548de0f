"""The completion of each shell: asked of the shell itself where it is installed, and what every one of them must know."""

import argparse
import shutil
import subprocess

import pytest

from daemon.cli import main
from daemon.cli.parser import build

SHELLS = ("bash", "zsh", "fish")


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def completed(text: str, *words: str) -> list[str]:
    """What bash offers for the last word."""
    line = " ".join(f"'{word}'" for word in words)
    asked = f'compopt() {{ echo "compopt $*"; }}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _verdictd'
    done = subprocess.run(
        ["bash", "-euc", f"{text}\n{asked}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_bash_completes_commands_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    text = script("bash", capsys)
    assert completed(text, "verdictd", "re") == ["revert", "restore", "replay"]
    assert completed(text, "verdictd", "wait", "--ti") == ["--timeout"]
    assert completed(text, "verdictd", "wait", "x", "--exit", "") == ["meaning", "outcome"]
    assert completed(text, "verdictd", "completion", "f") == ["fish"]
    assert completed(text, "verdictd", "wait", "--token-file", "") == ["compopt", "-o", "default"]
    assert completed(text, "verdictd", "wait", "--timeout", "") == []
    assert completed(text, "verdictd", "submit", "")[:3] == ["compopt", "-o", "default"]


def test_fish_completes_commands_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    program = shutil.which("fish")
    if program is None:
        pytest.skip("fish is not installed")
    asked = ("verdictd re", "verdictd wait --ti", "verdictd wait --exit ", "verdictd completion b")
    text = script("fish", capsys) + "".join(f"complete -C '{line}'\n" for line in asked)
    done = subprocess.run([program, "-N"], input=text, capture_output=True, text=True, check=False, timeout=30)
    offered = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert offered == ["replay", "restore", "revert", "--timeout", "meaning", "outcome", "bash"], done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_every_option_of_the_parser_is_known(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    [commands] = [one for one in build()._actions if isinstance(one, argparse._SubParsersAction)]
    for name, parser in commands.choices.items():
        assert name in text
        for option in parser._option_string_actions:
            if option.startswith("--") and option != "--debug":
                assert option.removeprefix("--") if shell == "fish" else option in text


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_itself_can_read_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([program, "-n"], input=script(shell, capsys), capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
