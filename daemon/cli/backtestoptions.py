"""The options of ``verdictd backtest``."""

import argparse

from daemon.cli import options


def add(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.set_defaults(module="backtesting")
    _which(parser)
    _where(parser)
    parser.add_argument(
        "--policy",
        metavar="FILE",
        nargs="+",
        action="extend",
        default=[],
        help="judge under each of these policies (default: the settings' default policy, else the defaults)",
    )
    parser.add_argument(
        "--recordings",
        metavar="DIR",
        default="backtest-recordings",
        help="keep what was read here; what is there is not asked for again (default %(default)s)",
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with charts as well, which needs nothing else")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def _which(parser: argparse.ArgumentParser) -> None:
    """Which releases."""
    parser.add_argument("--releases", metavar="FILE", help="the releases with their times, YAML or JSON")
    parser.add_argument(
        "--presume",
        action="store_true",
        help="of releases that are found: take one that went before the old version for bad, and one that outlived it for good",
    )
    parser.add_argument("--service", help="the service; with --releases: of all that the file lists")
    parser.add_argument("--namespace", help="where it runs")
    options.arms(parser, whose=" of the one release that is meant")
    parser.add_argument(
        "--from",
        dest="begin",
        metavar="TIME",
        help="when its canary came: 2026-11-03T10:00:00Z, or 30d (ago); without --canary: find all since then",
    )
    parser.add_argument(
        "--to",
        dest="end",
        metavar="TIME",
        help="how far to watch (default: as long as the policies ask), or to look for releases (default: now)",
    )
    parser.add_argument("--weight", type=float, metavar="PERCENT", help="the canary's share of the traffic, where it was steady")
    parser.add_argument("--label", choices=("healthy", "bad"), help="what it was")


def _where(parser: argparse.ArgumentParser) -> None:
    """Where the history is, and how kindly it is asked."""
    parser.add_argument("--prometheus", metavar="URL", help="the server, or anything that speaks as one")
    parser.add_argument("--dialect", default="istio", metavar="MESH", help="whose series it has (default %(default)s)")
    parser.add_argument("--config", metavar="FILE", help="settings that name the server, with its credentials")
    parser.add_argument("--telemetry", metavar="NAME", help="which of the settings' telemetries, where there are several")
    parser.add_argument(
        "--tick", type=options.seconds, metavar="DURATION", help="the sampling interval (default: as far apart as the samples are)"
    )
    parser.add_argument(
        "--late",
        type=options.seconds,
        metavar="DURATION",
        help="how long after its time a sample could be read (default: as long as its scrape took, where that is known)",
    )
    parser.add_argument(
        "--pause",
        type=options.seconds,
        default=0.1,
        metavar="DURATION",
        help="wait so long after each query (default %(default)g s)",
    )
