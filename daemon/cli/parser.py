"""Every command and option. Nothing is imported here but argparse: this runs before each command."""

import argparse
import os
import sys
from typing import NoReturn

import daemon
from daemon.cli import backtestoptions, options

DEFAULT_SERVER = "http://127.0.0.1:8484"
_USAGE = 64
_DEFECT = "70 a defect of verdictd (--debug says where)"
_OF_THE_API = (
    f"64 wrong usage, 66 no such release, 69 the daemon cannot be reached, {_DEFECT}, 77 not allowed (the token), 130 interrupted."
)
_OF_A_VERDICT = (
    "Exits 0 promote, 1 rollback (also one that was observed only: stderr says that the canary keeps its traffic), "
    "2 inconclusive, 3 no verdict in time, 4 rollback, but the canary still gets traffic (the revert failed or was blocked); "
    "without a verdict "
    + _OF_THE_API
    + " An inconclusive verdict counts as the policy's on_inconclusive says (promote 0, rollback 1, hold 2), and moves no traffic. "
    "The code is the verdict's whatever becomes of the printing."
)


class Parser(argparse.ArgumentParser):
    """Wrong usage exits 64: argparse's own 2 would be read as an inconclusive verdict."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong on stderr and exit."""
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def build() -> Parser:
    """The whole command line."""
    parser = Parser(prog="verdictd", description="Watches releases behind a service mesh and takes bad ones back.")
    parser.add_argument("--version", action="version", version=f"verdictd {daemon.__version__}")
    parser.add_argument("--debug", action="store_true", help="of a defect, show the traceback too; every command takes it")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    _run(commands)
    commands.add_parser("demo", help="a real proxy, broker and traffic on this machine: watch a bad canary go", add_help=False)
    _submit(commands)
    _wait(commands)
    _status(commands)
    _revert(commands)
    _explain(commands)
    _replay(commands)
    _backtest(commands)
    _plan(commands)
    _check(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for what add_subparsers returns


def _run(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "run",
        help="run the daemon",
        epilog="Exits 0 told to stop (SIGTERM, SIGINT), 64 settings that cannot be used, "
        f"69 the broker, the credentials or the address to listen on cannot be had, {_DEFECT}.",
    )
    parser.set_defaults(module="running")
    parser.add_argument("--config", metavar="FILE", help="settings, YAML or JSON (default: $VERDICTD_CONFIG, else the defaults)")
    parser.add_argument("--policies", metavar="DIR", help="a folder of policies; a file's name is the policy's")
    parser.add_argument("--nats", metavar="URL", help="nats://..., or embedded")
    parser.add_argument("--http-listen", metavar="HOST:PORT", help="where the API listens; port 0 takes a free one")
    parser.add_argument("--recordings", metavar="DIR", help="keep a recording of each release here")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))


def _submit(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "submit",
        help="announce a release to the daemon",
        epilog=f"With --wait: {_OF_A_VERDICT[0].lower()}{_OF_A_VERDICT[1:]} Without: 0 when the release is announced.",
    )
    parser.set_defaults(module="submitting")
    parser.add_argument("file", metavar="FILE", help="the release, YAML or JSON; - is standard input")
    parser.add_argument("--key", help="the same key and release is the same submission (default: a new one)")
    parser.add_argument("--wait", action="store_true", help="wait for the verdict, as the command wait does")
    _waiting_options(parser)
    _client_options(parser)


def _wait(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "wait",
        help="wait for a release's verdict",
        epilog=_OF_A_VERDICT,
    )
    parser.set_defaults(module="waiting")
    parser.add_argument("id", metavar="ID", help="the release's id")
    _waiting_options(parser)
    _client_options(parser)


def _waiting_options(parser: Parser) -> None:
    parser.add_argument(
        "--timeout", type=options.seconds, default=3600.0, metavar="SECONDS", help="wait at most so long (default %(default)g)"
    )
    parser.add_argument(
        "--patience",
        type=options.seconds,
        default=60.0,
        metavar="SECONDS",
        help="give up when the daemon does not answer for so long (default %(default)g)",
    )
    parser.add_argument(
        "--exit",
        choices=("meaning", "outcome"),
        default="meaning",
        help="what an inconclusive verdict exits with: what the policy takes it for (meaning, the default), or always 2 (outcome)",
    )


def _status(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "status", help="show releases, or one of them", epilog=f"Exits 0 whatever the verdict; {_OF_THE_API}"
    )
    parser.set_defaults(module="status")
    parser.add_argument("id", metavar="ID", nargs="?", help="the release's id; without: all")
    parser.add_argument("--service", help="only this service")
    parser.add_argument("--namespace", help="only this namespace")
    parser.add_argument("--stage", help="only this stage")
    _client_options(parser)


def _client_options(parser: Parser) -> None:
    parser.add_argument(
        "--server",
        default=os.environ.get("VERDICTD_SERVER", DEFAULT_SERVER),
        metavar="URL",
        help=f"the daemon's address (default: $VERDICTD_SERVER, else {DEFAULT_SERVER})",
    )
    parser.add_argument(
        "--token-file",
        default=os.environ.get("VERDICTD_TOKEN_FILE"),
        metavar="FILE",
        help="holds the bearer token (default: $VERDICTD_TOKEN_FILE)",
    )
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def _revert(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "revert",
        help="take the traffic back by hand, without a daemon",
        epilog="Needs the mesh's credentials and nothing else: no daemon, no NATS, no telemetry. "
        "Name the release by a file, or by --service, --baseline and --canary. Exits 0 the traffic is back (or, with --dry-run, "
        "would be), 64 wrong usage, or nobody agreed, 66 no such route, or no credentials, 69 it could not be taken back, "
        f"{_DEFECT}, 77 not allowed, 130 interrupted.",
    )
    parser.set_defaults(module="reverting")
    parser.add_argument("--config", metavar="FILE", help="settings (default: $VERDICTD_CONFIG, else Istio through the kubeconfig)")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: what the settings say, else $KUBECONFIG, ~/.kube/config")
    parser.add_argument("--context", help="context of the kubeconfig")
    parser.add_argument("--release", metavar="FILE", help="the release, as for submit; - is standard input")
    parser.add_argument("--mesh", help="name of a configured mesh; needed when there are several")
    parser.add_argument("--service")
    parser.add_argument("--namespace")
    parser.add_argument("--route", help="name of the route object, when it cannot be found by the canary")
    options.arms(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the routes that would be changed, and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def _explain(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "explain",
        help="say in plain words why a release got its verdict",
        epilog="Exits 0 explained, 65 a file cannot be used, or the recording does not support the record, 64 wrong usage, "
        f"66 the daemon has no such release, or no verdict on it yet, 69 the daemon cannot be reached, {_DEFECT}, 77 not allowed.",
    )
    parser.set_defaults(module="explaining")
    parser.add_argument(
        "target", metavar="FILE|RELEASE", help="a recording (judged again), a decision record, or the id of a release of the daemon"
    )
    parser.add_argument("--recording", metavar="FILE", help="the record's recording: checks it, and shows the evidence over time")
    parser.add_argument("--html", metavar="FILE", help="write a page with charts as well, which needs nothing else")
    _client_options(parser)


def _replay(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "replay",
        help="judge recordings again",
        epilog="Exits 0 all are promoted, 1 any is rolled back, 2 none is and any is inconclusive, 65 any cannot be used "
        "(the others are judged all the same). With --sweep: 0, or 65. "
        f"64 wrong usage, {_DEFECT}.",
    )
    parser.set_defaults(module="replaying")
    parser.add_argument("files", metavar="FILE", nargs="+", help="recordings (.jsonl, .jsonl.gz), or folders of them")
    policies = parser.add_mutually_exclusive_group()
    policies.add_argument("--policy", metavar="FILE", help="judge under this policy instead of the recorded one")
    policies.add_argument(
        "--sweep",
        metavar="FILE",
        nargs="+",
        action="extend",
        help="compare these policies, and the recorded one, on all recordings (name the recordings first)",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="which releases were healthy or bad, for --sweep (default: labels.json beside each recording)",
    )
    _processes_option(parser)
    parser.add_argument("--json", action="store_true", help="one line of JSON a file; with --sweep a line a policy")


def _backtest(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "backtest",
        help="judge past releases, read from Prometheus' history, as they would have been",
        epilog="Exits 0 judged, whatever the verdicts, 65 any release could not be (the others are judged all the same), "
        f"64 wrong usage, 69 the server cannot be asked, {_DEFECT}, 77 not allowed, 130 interrupted (go on by the same command).",
    )
    backtestoptions.add(parser)
    _processes_option(parser)


def _plan(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "plan",
        help="foretell how soon a bad canary would be found, and what more traffic or finer buckets would buy",
        epilog="The service is described by figures, by --from a recording, or by its own telemetry (--config and --release); "
        "figures go before what was observed. Shares are fractions (0.001) or percent (0.1%). "
        f"Exits 0 planned, 64 a figure, file or recording cannot be used, 69 the telemetry cannot be reached, {_DEFECT}.",
    )
    parser.set_defaults(module="planning")
    _service_options(parser)
    parser.add_argument("--from", dest="recording", metavar="RECORDING", help="the service as a recording shows it")
    parser.add_argument("--config", metavar="FILE", help="settings; with --release: the service's own telemetry is observed")
    parser.add_argument("--release", metavar="FILE", help="a release, as for submit, of which both versions take traffic now")
    parser.add_argument(
        "--observe", type=options.seconds, default=60.0, metavar="SECONDS", help="how long to observe (default %(default)g)"
    )
    parser.add_argument("--policy", metavar="FILE", help="the policy (default: the recording's, else the defaults)")
    parser.add_argument(
        "--regression",
        action="append",
        default=[],
        metavar="KIND=SIZE",
        help="errors=2%%, denied=1%%, latency=1.3 or p99=2; may be repeated (default: a few beyond the policy's tolerances)",
    )
    parser.add_argument(
        "--runs", type=options.whole, default=300, metavar="N", help="simulated releases a figure (default %(default)d)"
    )
    parser.add_argument(
        "--seed", type=options.seed, default=1, metavar="N", help="the same seed gives the same plan (default %(default)d)"
    )
    _processes_option(parser)
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def _service_options(parser: Parser) -> None:
    """A service described by figures."""
    parser.add_argument("--rps", type=float, metavar="N", help="requests per second of both versions together")
    parser.add_argument("--weight", type=float, metavar="PERCENT", help="the canary's share of them (default 5)")
    parser.add_argument("--errors", metavar="SHARE", help="share of the requests that fail also when all is well (default 0)")
    parser.add_argument("--denied", metavar="SHARE", help="share of the requests denied by policy when all is well (default 0)")
    parser.add_argument("--median-ms", type=float, metavar="MS", help="median latency, with --p99-ms: taken to be lognormal")
    parser.add_argument("--p99-ms", type=float, metavar="MS", help="99th percentile of the latency")
    parser.add_argument("--histogram", metavar="FILE", help="latencies instead: YAML or JSON with bounds_ms and counts")
    parser.add_argument(
        "--bounds-ms", metavar="LIST", help="upper bounds of the buckets that are read, with commas (default Istio's)"
    )
    parser.add_argument("--burst", type=options.whole, metavar="N", help="failures come together in so many (default 1)")
    parser.add_argument(
        "--jitter", metavar="SHARE", help="how much the latency of a version moves from tick to tick by itself (default 0)"
    )
    parser.add_argument("--tick", type=options.seconds, metavar="SECONDS", help="the sampling interval (default 5)")
    parser.add_argument("--unsplit", action="store_true", help="the histograms hold failed requests too")


def _processes_option(parser: Parser) -> None:
    parser.add_argument(
        "--processes",
        type=options.whole,
        default=None,
        metavar="N",
        help="work in up to N processes (default: the processors' number)",
    )


def _check(commands: "Commands[Parser]") -> None:
    parser = commands.add_parser(
        "check",
        help="check settings, policies, releases and recordings, or print schemas",
        epilog=f"Exits 0 every file can be used, 64 one or more cannot, {_DEFECT}.",
    )
    parser.set_defaults(module="checking")
    parser.add_argument("files", metavar="FILE", nargs="*", help="files to check, or a folder of policies or of recordings")
    parser.add_argument(
        "--kind",
        choices=("settings", "policy", "release", "recording"),
        help="what the files are (default: seen from their names and keys)",
    )
    parser.add_argument("--schema", choices=("settings", "policy", "release"), help="print the JSON Schema and exit")
    parser.add_argument("--json", action="store_true", help="one line of JSON a file")
