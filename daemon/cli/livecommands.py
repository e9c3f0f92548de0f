"""The options of the commands that run the daemon or speak to it, and of the one that acts in its place.

Their exit codes are what pipelines read, so each says its own below its help. Nothing heavy is imported here, as in ``parser``.
"""

from daemon.cli import options
from daemon.cli.options import DEFECT, OF_THE_API, Commands, Parser
from daemon.cli.settingsfile import DEFAULT

_WORDS = {
    "promote": "call a canary that is being watched good now",
    "rollback": "have the daemon take a canary's traffic back now",
    "cancel": "stop watching a release; its verdict is inconclusive",
}
_OF_A_VERDICT = (
    "Exits 0 promote, 1 rollback (also one that was observed only: stderr says that the canary keeps its traffic), "
    "2 inconclusive, 3 no verdict in time, 4 rollback, but the canary still gets traffic (the revert failed or was blocked); "
    "without a verdict "
    + OF_THE_API
    + " An inconclusive verdict counts as the policy's on_inconclusive says (promote 0, rollback 1, hold 2), and moves no traffic. "
    "The code is the verdict's whatever becomes of the printing."
)


def run(commands: "Commands[Parser]") -> None:
    """The daemon itself."""
    parser = commands.add_parser(
        "run",
        help="run the daemon",
        epilog="Exits 0 told to stop (SIGTERM, SIGINT), 64 settings that cannot be used, "
        f"69 the broker, the credentials or the address to listen on cannot be had, {DEFECT}.",
    )
    parser.set_defaults(module="running")
    parser.add_argument("--config", metavar="FILE", help=f"settings, YAML or JSON (default: {DEFAULT}, else the defaults)")
    parser.add_argument("--policies", metavar="DIR", help="a folder of policies; a file's name is the policy's")
    parser.add_argument("--nats", metavar="URL", help="nats://..., or embedded")
    parser.add_argument("--http-listen", metavar="HOST:PORT", help="where the API listens; port 0 takes a free one")
    parser.add_argument("--recordings", metavar="DIR", help="keep a recording of each release here")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))


def submit(commands: "Commands[Parser]") -> None:
    """A release for it."""
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
    options.client(parser)


def wait(commands: "Commands[Parser]") -> None:
    """The verdict on it."""
    parser = commands.add_parser(
        "wait",
        help="wait for a release's verdict",
        epilog=_OF_A_VERDICT,
    )
    parser.set_defaults(module="waiting")
    parser.add_argument("id", metavar="ID", help="the release's id")
    _waiting_options(parser)
    options.client(parser)


def _waiting_options(parser: Parser) -> None:
    parser.add_argument(
        "--timeout", type=options.seconds, default=3600.0, metavar="DURATION", help="wait at most so long (default %(default)g s)"
    )
    parser.add_argument(
        "--patience",
        type=options.seconds,
        default=60.0,
        metavar="DURATION",
        help="give up when the daemon does not answer for so long (default %(default)g s)",
    )
    parser.add_argument(
        "--exit",
        choices=("meaning", "outcome"),
        default="meaning",
        help="what an inconclusive verdict exits with: what the policy takes it for (meaning, the default), or always 2 (outcome)",
    )
    parser.add_argument(
        "--output",
        choices=("github", "gitlab", "junit"),
        help="tell the pipeline's tool too: github a summary, outputs and an annotation of the step; gitlab verdictd.env (dotenv) "
        "and verdictd.xml (JUnit); junit the latter only",
    )
    parser.add_argument("--output-dir", default=".", metavar="DIR", help="takes the files of --output (default here)")


def status(commands: "Commands[Parser]") -> None:
    """What it watches."""
    parser = commands.add_parser(
        "status", help="show releases, or one of them", epilog=f"Exits 0 whatever the verdict; {OF_THE_API}"
    )
    parser.set_defaults(module="status")
    parser.add_argument("id", metavar="ID", nargs="?", help="the release's id; without: all")
    parser.add_argument("--service", help="only this service")
    parser.add_argument("--namespace", help="only this namespace")
    parser.add_argument("--stage", help="only this stage")
    parser.add_argument("--outcome", choices=("promote", "rollback", "inconclusive"), help="only with this verdict")
    parser.add_argument(
        "--since", type=options.seconds, metavar="DURATION", help="only what was watched in so long a time up to now, such as 2h"
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="go on until interrupted, or until the one release that is named has its verdict: on a terminal a table that is kept "
        "up to date, else a line for each change",
    )
    options.client(parser)


def command(commands: "Commands[Parser]", word: str) -> None:
    """What a person or a pipeline says of a release that is being watched: ``promote``, ``rollback`` or ``cancel``."""
    parser = commands.add_parser(
        word,
        help=_WORDS[word],
        epilog=f"Exits 0 the daemon has heard it (verdictd wait ID tells what became of it); {OF_THE_API} "
        "69 is also the code where the release has its verdict already, which never changes.",
    )
    parser.set_defaults(module="commanding", word=word)
    parser.add_argument("id", metavar="ID", help="the release's id")
    _said(parser, where="the verdict and in the record")


def freeze(commands: "Commands[Parser]") -> None:
    """For a while nothing is taken back, and the end of that."""
    parser = commands.add_parser(
        "freeze",
        help="have the daemon take nothing back for a while: watches go on, and end in verdicts",
        epilog=f"Exits 0 it is frozen; {OF_THE_API}",
    )
    parser.set_defaults(module="freezing", word="freeze")
    parser.add_argument("namespace", metavar="NAMESPACE", nargs="?", help="where; without: everywhere")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=options.seconds,
        metavar="DURATION",
        help="for so long, such as 2h (default: until it is thawed)",
    )
    _said(parser, where="the verdicts and in the log")
    parser = commands.add_parser(
        "thaw", help="end a freeze", epilog=f"Exits 0 it is ended, 66 none is in force there; {OF_THE_API}"
    )
    parser.set_defaults(module="freezing", word="thaw")
    parser.add_argument("namespace", metavar="NAMESPACE", nargs="?", help="where; without: the freeze of everything")
    _said(parser, where="the log")


def _said(parser: Parser, *, where: str) -> None:
    parser.add_argument("--reason", default="", metavar="TEXT", help=f"why: it stands in {where}")
    parser.add_argument("--by", metavar="NAME", help="who says so (default: whom the pipeline names, else the user)")
    options.client(parser)


def revert(commands: "Commands[Parser]") -> None:
    """What works without it, when it hurts."""
    parser = commands.add_parser(
        "revert",
        help="take the traffic back by hand, without a daemon",
        epilog="Needs the mesh's credentials and nothing else: no NATS, no telemetry, and a daemon only to say what an ID is. "
        "Name the release by its id, by a file, or by --service, --baseline and --canary. "
        "Exits 0 the traffic is back (or, with --dry-run, would be), 64 wrong usage, or nobody agreed, "
        "66 no such release or route, or no credentials, 69 it could not be taken back (or, with --dry-run, could not be now), "
        f"{DEFECT}, 77 not allowed, 130 interrupted.",
    )
    parser.set_defaults(module="reverting")
    parser.add_argument(
        "id", metavar="ID", nargs="?", help="the release's id: the daemon is asked for it, else the recordings of the settings"
    )
    _steering_options(parser)
    parser.add_argument("--release", metavar="FILE", help="the release, as for submit; - is standard input")
    parser.add_argument("--service")
    parser.add_argument("--namespace")
    parser.add_argument("--route", help="a route object that must be there, by its name; it limits nothing")
    options.arms(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show every value that would be changed, whose it is, and who would serve; change nothing",
    )
    parser.add_argument("--save", metavar="FILE", help="write what it takes to restore this into a new file")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options.client(parser)


def restore(commands: "Commands[Parser]") -> None:
    """And back again."""
    parser = commands.add_parser(
        "restore",
        help="give the canary back the traffic that a revert took from it, while nobody has changed the routes since",
        epilog="Needs the mesh's credentials. What was written is read from the daemon's record of the release, or from the file "
        "of revert --save. Every value must still be as the revert left it, and the rule around it too: else nothing is written, "
        "and what is there now is said. Exits 0 the routes are as they were (or, with --dry-run, would be), "
        "64 wrong usage, or nobody agreed, 66 no such release, or nothing is kept of its revert, "
        f"69 somebody has changed a route since, or it could not be written, {DEFECT}, 77 not allowed, 130 interrupted.",
    )
    parser.set_defaults(module="restoring")
    parser.add_argument("id", metavar="ID", nargs="?", help="the release's id: the daemon is asked for its record")
    parser.add_argument("--from", metavar="FILE", dest="file", help="what revert --save has written, in place of an id")
    _steering_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="show every value that would be changed, and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options.client(parser)


def _steering_options(parser: Parser) -> None:
    parser.add_argument("--config", metavar="FILE", help=f"settings (default: {DEFAULT}, else Istio through the kubeconfig)")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: what the settings say, else $KUBECONFIG, ~/.kube/config")
    parser.add_argument("--context", help="context of the kubeconfig")
    parser.add_argument("--mesh", help="name of a configured mesh; needed when there are several")


def doctor(commands: "Commands[Parser]") -> None:
    """What it would meet."""
    parser = commands.add_parser(
        "doctor",
        help="ask the broker, the clusters and the telemetry of the settings what is wrong, and say what mends it",
        epilog="It changes nothing. Faults stop releases from being judged or taken back; warnings make that slower or coarser. "
        "Exits 0 no fault, 65 a fault was found (with --strict: or a warning), 64 settings or releases that cannot be used, "
        f"{DEFECT}.",
    )
    parser.set_defaults(module="diagnosing")
    parser.add_argument("--config", metavar="FILE", help=f"settings, YAML or JSON (default: {DEFAULT}, else the defaults)")
    parser.add_argument(
        "--release",
        metavar="FILE",
        action="append",
        default=[],
        help="a release, as for submit, best one that takes traffic now; may be repeated",
    )
    parser.add_argument(
        "--observe",
        type=options.seconds,
        default=60.0,
        metavar="DURATION",
        help="how long to watch the releases at most; less when enough is known (default %(default)g s)",
    )
    parser.add_argument("--strict", action="store_true", help="a warning counts as a fault")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
