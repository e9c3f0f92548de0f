"""The command line as a whole. Nothing is imported here but argparse: this runs before each command."""

import argparse

import daemon
from daemon.cli import livecommands, offlinecommands
from daemon.cli.options import Parser


def build() -> Parser:
    """The whole command line."""
    parser = Parser(prog="verdictd", description="Watches releases behind a service mesh and takes bad ones back.")
    parser.add_argument("--version", action="version", version=f"verdictd {daemon.__version__}")
    parser.add_argument("--debug", action="store_true", help="of a defect, show the traceback too; every command takes it")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    livecommands.run(commands)
    commands.add_parser("demo", help="a real proxy, broker and traffic on this machine: watch a bad canary go", add_help=False)
    livecommands.submit(commands)
    livecommands.wait(commands)
    livecommands.status(commands)
    for word in ("promote", "rollback", "cancel"):
        livecommands.command(commands, word)
    livecommands.freeze(commands)
    livecommands.revert(commands)
    livecommands.restore(commands)
    livecommands.doctor(commands)
    offlinecommands.explain(commands)
    offlinecommands.replay(commands)
    offlinecommands.backtest(commands)
    offlinecommands.plan(commands)
    offlinecommands.check(commands)
    offlinecommands.hook(commands)
    offlinecommands.completion(commands)
    offlinecommands.notify(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser
