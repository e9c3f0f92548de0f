"""The options of the commands that need no daemon: what they are told is in files, in figures, or in a server's history.

Nothing is imported here but argparse, as in ``parser``.
"""

from config.hooksenders import HOOK_SENDERS
from daemon.cli import backtestoptions, options
from daemon.cli.options import DEFECT, Commands, Parser
from daemon.cli.settingsfile import DEFAULT


def explain(commands: "Commands[Parser]") -> None:
    """Why it was so."""
    parser = commands.add_parser(
        "explain",
        help="say in plain words why a release got its verdict",
        epilog="Exits 0 explained, 65 a file cannot be used, or the recording does not support the record, 64 wrong usage, "
        f"66 the daemon has no such release, or no verdict on it yet, 69 the daemon cannot be reached, {DEFECT}, 77 not allowed.",
    )
    parser.set_defaults(module="explaining")
    parser.add_argument(
        "target", metavar="FILE|RELEASE", help="a recording (judged again), a decision record, or the id of a release of the daemon"
    )
    parser.add_argument("--recording", metavar="FILE", help="the record's recording: checks it, and shows the evidence over time")
    parser.add_argument("--html", metavar="FILE", help="write a page with charts as well, which needs nothing else")
    options.client(parser)


def replay(commands: "Commands[Parser]") -> None:
    """Recordings, judged again."""
    parser = commands.add_parser(
        "replay",
        help="judge recordings again",
        epilog="Exits 0 all are promoted, 1 any is rolled back, 2 none is and any is inconclusive, 65 any cannot be used "
        "(the others are judged all the same). With --sweep: 0, or 65. "
        f"64 wrong usage, {DEFECT}.",
    )
    parser.set_defaults(module="replaying")
    parser.add_argument("files", metavar="FILE", nargs="+", help="recordings (.jsonl, .jsonl.gz), or folders of them")
    parser.add_argument(
        "--join",
        metavar="FILE",
        help="the recordings are several replicas' parts of one release: write the whole here, and judge that",
    )
    parser.add_argument("--digest", metavar="HEX", help="for --join: sample_digest of the record, where the whole is to end")
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
    options.processes(parser)
    parser.add_argument("--json", action="store_true", help="one line of JSON a file; with --sweep a line a policy")


def backtest(commands: "Commands[Parser]") -> None:
    """History, judged as it would have been."""
    parser = commands.add_parser(
        "backtest",
        help="judge past releases, read from Prometheus' history, as they would have been",
        epilog="Exits 0 judged, whatever the verdicts, 65 any release could not be (the others are judged all the same), "
        f"64 wrong usage, 69 the server cannot be asked, {DEFECT}, 77 not allowed, 130 interrupted (go on by the same command).",
    )
    backtestoptions.add(parser)
    options.processes(parser)


def plan(commands: "Commands[Parser]") -> None:
    """What would be found, and how soon."""
    parser = commands.add_parser(
        "plan",
        help="foretell how soon a bad canary would be found, and what more traffic or finer buckets would buy",
        epilog="The service is described by figures, by --from a recording, or by its own telemetry (--config and --release); "
        "figures go before what was observed. Shares are fractions (0.001) or percent (0.1%). "
        f"Exits 0 planned, 64 a figure, file or recording cannot be used, 69 the telemetry cannot be reached, {DEFECT}.",
    )
    parser.set_defaults(module="planning")
    _service_options(parser)
    parser.add_argument("--from", dest="recording", metavar="RECORDING", help="the service as a recording shows it")
    parser.add_argument("--config", metavar="FILE", help="settings; with --release: the service's own telemetry is observed")
    parser.add_argument("--release", metavar="FILE", help="a release, as for submit, of which both versions take traffic now")
    parser.add_argument(
        "--observe", type=options.seconds, default=60.0, metavar="DURATION", help="how long to observe (default %(default)g s)"
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
    options.processes(parser)
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
    parser.add_argument("--tick", type=options.seconds, metavar="DURATION", help="the sampling interval (default 5)")
    parser.add_argument("--unsplit", action="store_true", help="the histograms hold failed requests too")


def check(commands: "Commands[Parser]") -> None:
    """Documents."""
    parser = commands.add_parser(
        "check",
        help="check settings, policies, releases and recordings, or print schemas and examples",
        epilog=f"Exits 0 every file can be used, 64 one or more cannot, {DEFECT}.",
    )
    parser.set_defaults(module="checking")
    parser.add_argument("files", metavar="FILE", nargs="*", help="files to check, or a folder of policies or of recordings")
    parser.add_argument(
        "--kind",
        choices=("settings", "policy", "release", "recording"),
        help="what the files are (default: seen from their names and keys)",
    )
    parser.add_argument("--schema", choices=("settings", "policy", "release"), help="print the JSON Schema and exit")
    parser.add_argument("--example", choices=("settings", "policy", "release"), help="print a file to begin with and exit")
    parser.add_argument("--json", action="store_true", help="one line of JSON a file")


def hook(commands: "Commands[Parser]") -> None:
    """Payloads of hooks."""
    parser = commands.add_parser(
        "hook",
        help="say what a payload that is sent to a hook would become",
        epilog=f"Exits 0 it can be used, or announces nothing, 65 it would be refused, 64 wrong usage, {DEFECT}.",
    )
    parser.set_defaults(module="hooking")
    parser.add_argument("--explain", metavar="FILE", required=True, help="the body as it is sent; - is standard input")
    parser.add_argument(
        "--sender",
        choices=HOOK_SENDERS,
        help="whose words they are (default: that of the hook in the settings, else by the headers, else cloudevents)",
    )
    parser.add_argument("--name", metavar="NAME", help="the hook's, which names what has no better name (default the sender)")
    parser.add_argument(
        "--config", metavar="FILE", help=f"settings, with hooks and mapping (default: {DEFAULT}, else the defaults)"
    )
    parser.add_argument("--header", metavar="NAME: VALUE", action="append", default=[], help="sent with it; may be given again")
    parser.add_argument("--json", action="store_true", help="one line of JSON an event")


def completion(commands: "Commands[Parser]") -> None:
    """For the shell."""
    parser = commands.add_parser(
        "completion",
        help="print what completes this command line in a shell",
        epilog="bash: source <(verdictd completion bash); zsh: source <(verdictd completion zsh); "
        f"fish: verdictd completion fish | source. Exits 0 printed, 64 wrong usage, {DEFECT}.",
    )
    parser.set_defaults(module="completing")
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def notify(commands: "Commands[Parser]") -> None:
    """Channels."""
    parser = commands.add_parser(
        "notify",
        help="tell a channel of the settings a made-up verdict, to see whether it is taken",
        epilog="Needs neither a daemon nor a broker; what is told says that it is a test. "
        "Exits 0 it was taken, 64 wrong usage, or no such channel, 65 it can never be told there, 69 it was not taken, "
        f"{DEFECT}, 77 not allowed.",
    )
    parser.set_defaults(module="notifying")
    parser.add_argument("--test", metavar="NAME", required=True, help="the channel's name under sinks")
    parser.add_argument("--config", metavar="FILE", help=f"settings (default: {DEFAULT})")
    parser.add_argument("--callback", metavar="URL", help="for a sink of kind callback: the release's callback")
    parser.add_argument("--github", metavar="OWNER/NAME/DEPLOYMENT", help="for one of kind github-deployment")
    rule = "for one of kind github-protection-rule: the run that waits, which is told a report and goes on waiting"
    parser.add_argument("--github-rule", metavar="OWNER/NAME/RUN/ENVIRONMENT", help=rule)
    parser.add_argument("--gitlab", metavar="GROUP/PROJECT/COMMIT", help="for one of kind gitlab-status")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
