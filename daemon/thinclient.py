"""verdictd's thin client: announce a release, and wait for its verdict, with Python 3.9 or newer and nothing else.

One file, for Linux, macOS and Windows, that every daemon hands out:

    curl -fsS "$VERDICTD_SERVER/client" -o verdictd.py
    python3 verdictd.py submit release.json --wait

Exit codes: 0 promote, 1 rollback (also one that was observed only), 2 inconclusive, 3 no verdict in time, 4 rollback, but the
canary still gets traffic; without a verdict 64 wrong usage, 66 no such release, 69 the daemon cannot be reached, 70 a defect of
this program, 77 not allowed (the token), 130 interrupted. They are those of the command verdictd, which imports nothing of this.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import queue
import random
import re
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from typing import Any, NoReturn
from urllib.parse import quote, urlencode, urlsplit

OK, ROLLBACK, INCONCLUSIVE, TIMEOUT, STILL_SERVING = range(5)
USAGE, NOT_FOUND, UNAVAILABLE, DEFECT, FORBIDDEN, INTERRUPTED = 64, 66, 69, 70, 77, 130
ANSWER_SECONDS, POLL_SECONDS, HEARTBEAT_SECONDS, UNSEEN_SECONDS = 10.0, 8.0, 14.0, 5.0
MOST_BYTES = 64 * 1024 * 1024
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Failed(Exception):
    """What ends the command with a code that speaks of no verdict. ``again``: trying once more can help."""

    def __init__(self, code: int, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.again = again


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes to the address that was given, and to no other."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Never: a redirect is a status like any other."""


class Daemon:
    """The daemon's API."""

    def __init__(self, server: str, *, token: str | None, ca_file: str | None) -> None:
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or not parts.hostname or {"@", "?", "#"} & set(server):
            raise Failed(USAGE, f"--server: {server!r} is no address; give http://host:port or https://host")
        self.server = server.rstrip("/")
        self.headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        try:
            tls = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise Failed(USAGE, f"--ca-file: {ca_file!r} cannot be used: {error}") from error
        here = parts.hostname == "localhost" or parts.hostname.startswith("127.") or parts.hostname == "::1"
        proxies = urllib.request.ProxyHandler({} if here else None)
        self.opener = urllib.request.build_opener(NoRedirect, proxies, urllib.request.HTTPSHandler(context=tls))

    def call(
        self, method: str, path: str, body: Any = None, *, seconds: float = ANSWER_SECONDS, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and document of a success; whatever else is raises ``Failed``."""
        data = None if body is None else json.dumps(body).encode()
        sent = {**self.headers, **({"Content-Type": "application/json"} if data else {}), **(headers or {})}
        request = urllib.request.Request(self.server + path, data=data, method=method, headers=sent)  # noqa: S310 - checked above
        try:
            status, kind, answer = self._in_time(request, seconds)
        except ssl.SSLCertVerificationError as error:
            raise Failed(USAGE, f"the server's certificate is not trusted: {error}; see --ca-file") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Failed(UNAVAILABLE, f"{self.server} cannot be reached: {error}", again=True) from error
        try:
            document = json.loads(answer) if answer else None
        except ValueError:
            document = None
        if 200 <= status < 300:
            if not isinstance(document, dict):
                raise Failed(UNAVAILABLE, "the answer is not verdictd's", again=True)
            return status, document
        raise refusal(status, kind, document)

    def _in_time(self, request: urllib.request.Request, seconds: float) -> tuple[int, str, bytes]:
        """The whole exchange within its time; a timeout of the library is for each read of it."""
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._exchange(request, seconds))
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                answers.put(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            answer = answers.get(timeout=seconds)
        except queue.Empty:
            raise OSError(f"no answer in {seconds:g} s") from None
        if isinstance(answer, Exception):
            reason = getattr(answer, "reason", None)
            raise reason if isinstance(reason, OSError) else answer
        status, kind, body = answer
        return status, kind, body

    def _exchange(self, request: urllib.request.Request, seconds: float) -> tuple[int, str, bytes]:
        try:
            with self.opener.open(request, timeout=seconds) as response:
                return response.status, response.headers.get_content_type(), response.read(MOST_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get_content_type(), error.read(MOST_BYTES)


def refusal(status: int, kind: str, document: Any) -> Failed:
    """A status that is no success."""
    ours = kind == "application/problem+json" and isinstance(document, dict)
    told = "; ".join(str(document[key]) for key in ("detail", "fix") if document.get(key)) if ours else ""
    said = f"the daemon answers {status}{': ' if told else ''}{told}"
    if status in {401, 403, 421}:
        return Failed(FORBIDDEN, said)
    if status == 404 and ours:
        return Failed(NOT_FOUND, said, again=True)
    if status == 409:
        return Failed(UNAVAILABLE, said)
    if status in {404, 429} or status >= 500:
        return Failed(UNAVAILABLE, said, again=True)
    return Failed(USAGE, said)


def wait(daemon: Daemon, release: str, options: argparse.Namespace, *, known: bool) -> int:
    """Wait for the verdict, over restarts of the daemon, and say it."""
    path = f"/v1/releases/{quote(release, safe='')}"
    end, heard, shown, stage = time.monotonic() + options.timeout, time.monotonic(), -math.inf, ""
    poll, longest = 0.0, POLL_SECONDS  # the first question is answered at once
    while True:
        left = end - time.monotonic()
        seconds = max(0.0, min(left, poll))
        try:
            status, found = daemon.call("GET", f"{path}/verdict?wait={seconds:.3f}", seconds=seconds + ANSWER_SECONDS)
        except Failed as error:
            silent = time.monotonic() - heard
            patience = options.patience if known or error.code != NOT_FOUND else min(options.patience, UNSEEN_SECONDS)
            if error.code == USAGE and poll > 0.0:  # the daemon's longest poll may be shorter; below 1 s there is none
                poll = longest = longest / 2 if longest >= 2.0 else 0.0
                continue
            if not error.again or silent >= patience or (left <= 0 and not known):
                raise
            now, line, pause = "away", f"{release} {error}; trying again", min(max(0.0, left), 0.5 + 2 * random.random())  # noqa: S311
        else:
            if status == 200:
                return tell(found, options)
            heard, known, poll = time.monotonic(), True, longest
            pause = 0.0 if poll else min(max(0.0, left), 0.5 + random.random())  # noqa: S311 - jitter, not a secret
            now = f"{found.get('stage', '')}{' person' if found.get('waits_until') else ''}"
            line = (
                f"{release} {now}  {found.get('seconds', 0):.0f} s  canary {found.get('canary_requests', 0)} requests  "
                f"evidence {found.get('evidence', 1):.3g} of {found.get('boundary')}  {found.get('waiting_for', '')}"
            )
        if now != stage or time.monotonic() - shown >= HEARTBEAT_SECONDS:
            say(line, sys.stderr)
            shown, stage = time.monotonic(), now
        if time.monotonic() >= end:
            say(f"verdictd: no verdict on {release} within {options.timeout:g} s; the watch goes on: {line}", sys.stderr)
            return TIMEOUT
        time.sleep(pause)


def tell(verdict: dict[str, Any], options: argparse.Namespace) -> int:
    """Print a verdict, and what nobody may overlook. Returns its code."""
    outcome, action, meaning, release = (str(verdict.get(key)) for key in ("outcome", "action", "meaning", "release_id"))
    codes = {"promote": OK, "rollback": ROLLBACK, "hold": INCONCLUSIVE, "inconclusive": INCONCLUSIVE}
    counted = meaning if outcome == "inconclusive" and options.exit == "meaning" else outcome
    if counted not in codes:
        raise Failed(UNAVAILABLE, f"the answer is not verdictd's: its outcome is {outcome!r}")
    lost = outcome == "rollback" and action in {"failed", "blocked"}
    say(
        json.dumps(verdict) if options.json else f"{outcome} ({action}) after {verdict.get('ticks')} ticks: {verdict.get('reason')}"
    )
    for finding in () if options.json else verdict.get("findings", ()):
        say(f"  {finding.get('leg')} {finding.get('sentence')}")
    if lost:
        say(
            f"verdictd: THE CANARY STILL GETS TRAFFIC: the revert was {action}; take it back by hand: verdictd revert {release}",
            sys.stderr,
        )
    elif outcome == "rollback" and action == "none":
        why = "the rollback was observed only, as the policy's mode says"
        if verdict.get("after"):
            why = "nothing was taken back"
        say(f"verdictd: the canary keeps its traffic: {why}", sys.stderr)
    elif counted not in {outcome, "hold"}:
        say(f"verdictd: inconclusive, counts as {counted} by the policy; no traffic is moved", sys.stderr)
    return STILL_SERVING if lost else codes[counted]


def submit(daemon: Daemon, options: argparse.Namespace) -> int:
    """Announce a release, again under the same key when the answer was lost."""
    release, key = document(options.file), options.key or str(uuid.uuid4())
    view = again(lambda: daemon.call("POST", "/v1/releases", release, headers={"Idempotency-Key": key}))
    if not options.wait:
        say(json.dumps(view) if options.json else view["id"])
        return OK
    if not options.json:
        say(view["id"])
    return wait(daemon, view["id"], options, known=True)


def gate(daemon: Daemon, options: argparse.Namespace) -> int:
    """Ask about an attempt at the gate for pipelines, which begins its watch, and wait for the verdict."""
    question = {"attempt": options.attempt, "verdictd": document(options.file)}
    told = again(lambda: daemon.call("POST", "/gates/http", question))
    return wait(daemon, told["release"], options, known=True)


def again(ask: Any) -> Any:
    """The answer's document, asked for up to five times."""
    for attempt in range(1, 5):
        try:
            return ask()[1]
        except Failed as error:
            if not error.again or error.code == NOT_FOUND:
                raise
            say(f"verdictd: {error}; trying again", sys.stderr)
            time.sleep(0.3 * attempt * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret
    return ask()[1]


def status(daemon: Daemon, options: argparse.Namespace) -> int:
    """One release, or all."""
    if options.id:
        _, found = daemon.call("GET", f"/v1/releases/{quote(options.id, safe='')}")
        say(json.dumps(found) if options.json else line_of(found))
        return OK
    releases: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in range(10_000):
        _, page = daemon.call("GET", f"/v1/releases?{urlencode(cursor)}")
        releases += page["releases"]
        if not page.get("next"):
            break
        cursor = {"cursor": page["next"]}
    say(json.dumps(releases) if options.json else "\n".join(map(line_of, releases)) or "no releases")
    return OK


def line_of(view: dict[str, Any]) -> str:
    """A release in one line."""
    release, verdict = view["release"], view.get("verdict")
    ends = view.get("waiting_for", "") if verdict is None else f"{verdict['outcome']} ({verdict['action']}): {verdict['reason']}"
    return clean(f"{view['id']}  {release['namespace']}/{release['service']}  {view['stage']}  {ends}")


def document(file: str) -> dict[str, Any]:
    """A release as JSON."""
    try:
        if file == "-":
            text = sys.stdin.buffer.read(MOST_BYTES).decode()
        else:
            with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - one import less
                text = opened.read(MOST_BYTES)
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise Failed(
            USAGE, f"{file!r} cannot be used: {error}; write the release as JSON (the command verdictd reads YAML)"
        ) from error
    if not isinstance(found, dict):
        raise Failed(USAGE, f"{file!r} holds no release; write an object with service, baseline and canary")
    return found


def token_of(options: argparse.Namespace) -> str | None:
    """An option goes before the environment, and there the token itself before its file."""
    token = None if options.token_file else os.environ.get("VERDICTD_TOKEN")
    file = options.token_file or os.environ.get("VERDICTD_TOKEN_FILE")
    if not token and file:
        try:
            with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - one import less
                token = opened.read(64 * 1024)
        except (OSError, ValueError) as error:
            raise Failed(USAGE, f"--token-file: {file!r} cannot be read: {error}") from error
    token = (token or "").strip()
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise Failed(USAGE, "there is no token in what was given as one: it is one line of printable ASCII")
    return token or None


def duration(text: str) -> float:
    """Seconds, or numbers with units."""
    if re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h|d))+", text):
        return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h|d)", text))
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no time: give seconds (90), or numbers with units (90s, 5m, 1h30m)")


def clean(text: str) -> str:
    """One line that moves no cursor and is no command to a CI's runner."""
    line = "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in text)
    return re.sub(r"##(?=\w*\[)", "#?", line)


def say(text: str, stream: Any = None) -> None:
    """Print, or not: a reader that has gone and a full disk change no exit code."""
    stream = sys.stdout if stream is None else stream
    try:
        print(text if text[:1] in "[{" else "\n".join(map(clean, text.split("\n"))), file=stream, flush=True)
    except (OSError, ValueError):
        return


class Parser(argparse.ArgumentParser):
    """Wrong usage exits 64: argparse's own 2 would be read as an inconclusive verdict."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def build() -> Parser:
    """The command line."""
    parser = Parser(prog="verdictd.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True, parser_class=Parser)
    made = {name: commands.add_parser(name, help=run.__doc__) for name, run in COMMANDS.items()}
    made["submit"].add_argument("--key", help="the same key and release is the same submission (default: a new one)")
    made["submit"].add_argument("--wait", action="store_true", help="wait for the verdict")
    made["gate"].add_argument("--attempt", required=True, help="names the attempt: a build's number, a pod template's hash")
    for name in ("submit", "gate"):
        made[name].add_argument("file", metavar="FILE", help="the release as JSON; - is standard input")
    made["wait"].add_argument("id", metavar="ID")
    made["status"].add_argument("id", metavar="ID", nargs="?", help="without: all")
    for name in ("submit", "gate", "wait"):
        made[name].add_argument("--timeout", type=duration, default=3600.0, metavar="DURATION", help="default 1h")
        made[name].add_argument(
            "--patience", type=duration, default=60.0, metavar="DURATION", help="with a silent daemon; default 60s"
        )
        made[name].add_argument(
            "--exit", choices=("meaning", "outcome"), default="meaning", help="outcome: inconclusive is always 2"
        )
    for one in made.values():
        one.add_argument("--server", default=os.environ.get("VERDICTD_SERVER", "http://127.0.0.1:8484"), metavar="URL")
        one.add_argument(
            "--token-file", metavar="FILE", help="default: $VERDICTD_TOKEN, the token itself, else $VERDICTD_TOKEN_FILE"
        )
        one.add_argument("--ca-file", default=os.environ.get("VERDICTD_CA_FILE") or None, metavar="FILE", help="whose certificates")
        one.add_argument("--json", action="store_true", help="JSON on standard output")
    return parser


def await_verdict(daemon: Daemon, options: argparse.Namespace) -> int:
    """Wait for a release's verdict."""
    return wait(daemon, options.id, options, known=False)


COMMANDS = {"submit": submit, "gate": gate, "wait": await_verdict, "status": status}


def main(arguments: list[str]) -> int:
    """Run one command. Returns the exit code, and raises nothing."""
    try:
        options = build().parse_args(arguments)
        daemon = Daemon(options.server, token=token_of(options), ca_file=options.ca_file)
        return COMMANDS[options.command](daemon, options)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except Failed as error:
        say(f"verdictd: {error}", sys.stderr)
        return error.code
    except Exception as error:  # noqa: BLE001 - Python's own 1 would be read as a rollback
        say(f"verdictd: a defect of this program: {type(error).__name__}: {error}", sys.stderr)
        return DEFECT


if __name__ == "__main__":
    for standard in (sys.stdout, sys.stderr):
        if hasattr(standard, "reconfigure"):  # a letter that a terminal's encoding lacks is shown as an escape
            standard.reconfigure(errors="backslashreplace")
    # Past Python's own end: it would flush what could not be written once more, and exit 120.
    os._exit(main(sys.argv[1:]))
