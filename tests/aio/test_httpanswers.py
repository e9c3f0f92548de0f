"""What servers say when they give no data, in the forms that each of them has, and what of it is told."""

import gzip
import json

import pytest

from daemon.aio.httpanswers import Asked, refusal, web_page
from daemon.errors import Failing, Forbidden, NotFound, Redirected, Refused, Throttled, VerdictdError, WebPage

ASKED = Asked(where="store:9090", setting="telemetry.prom.url", shown="it was shown the token in /t", secrets=("s3cret",))
MIMIR = (
    "the query exceeded the maximum number of series (limit: 1 series) (err-mimir-max-series-per-query). Consider reducing the "
    "time range and/or number of series selected by the query."
)


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        # Mimir and Cortex: a tenant is missing (plain), a limit, a rate.
        (401, "no org id\n", Forbidden, "no org id; it was shown the token in /t"),
        (422, {"status": "error", "errorType": "execution", "error": MIMIR}, Refused, MIMIR[:200]),
        (
            429,
            {"status": "error", "errorType": "too_many_requests", "error": "too many outstanding requests"},
            Throttled,
            "too many",
        ),
        # Thanos, asked with partial_response=false.
        (
            422,
            {"status": "error", "errorType": "execution", "error": "expanding series: proxy Series(): fetch series: store is down"},
            Refused,
            "expanding series: proxy Series(): fetch series: store is down",
        ),
        # VictoriaMetrics: the type is the status.
        (
            503,
            {
                "status": "error",
                "errorType": "503",
                "error": "error occured during search: cannot fetch results from vmstorage",
            },
            Failing,
            "error occured during search: cannot fetch results from vmstorage",
        ),
        (
            422,
            '{"status":"error","errorType":"422","error":"cannot select more than 1 samples"}',
            Refused,
            "cannot",
        ),
        # Amazon's gateway, Google's, Azure's, an API server's.
        (403, {"message": "Missing Authentication Token"}, Forbidden, "Missing Authentication Token; it was shown"),
        (401, {"error": {"code": 401, "message": "Request had invalid authentication", "status": "X"}}, Forbidden, "Request had"),
        (401, [{"error": {"code": 401, "message": "in a list"}}], Forbidden, "in a list"),
        (
            403,
            {"error": {"code": "AuthorizationFailed", "message": "The client does not have"}},
            Forbidden,
            "The client does not have",
        ),
        (403, {"kind": "Status", "message": 'services "prometheus" is forbidden', "code": 403}, Forbidden, "is forbidden"),
        # Pages.
        (502, "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", Failing, ": 502 Bad Gateway"),
        (404, "<p>default backend</p>", NotFound, "default backend"),
        # Nothing that could be read.
        (400, "{half of", Refused, "{half of"),
        (400, {"error": 7}, Refused, '{"error": 7}'),
        (500, b"", Failing, "store:9090 answered 500"),
    ],
)
def test_the_sentence_in_an_answer_is_told_whoever_says_it(
    status: int, body: object, error: type[VerdictdError], said: str
) -> None:
    wire = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    told = refusal(status, {}, wire, asked=ASKED)
    assert type(told) is error
    assert said in str(told)
    assert str(told).startswith(f"store:9090 answered {status}")
    assert len(str(told)) < 300


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("999999999", 60.0), ("Wed, 21 Oct 2026", 1.0), ("\u0664", 1.0)])
def test_nobody_sends_us_away_for_ever(text: str, seconds: float) -> None:
    told = refusal(429, {"Retry-After": text}, b"", asked=ASKED)
    assert isinstance(told, Throttled)
    assert told.retry_after_seconds == seconds


def test_a_server_that_says_our_secret_again_does_not_bring_it_into_an_error() -> None:
    body = b"x" * 195 + b" s3cret is not valid"
    for wire, headers in ((body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"})):
        told = str(refusal(401, headers, wire, asked=ASKED))
        assert "s3" not in told
    redirected = refusal(302, {"Location": "https://login/s3cret?x=s3cret"}, b"", asked=ASKED)
    assert isinstance(redirected, Redirected)
    assert "s3cret" not in str(redirected)


def test_a_page_for_people_is_no_data_and_said_to_be_one() -> None:
    told = web_page(b"<!doctype html><title>Sign in\n to s3cret Corp</title>", "", asked=ASKED)
    assert isinstance(told, WebPage)
    assert str(told) == (
        "store:9090 answered with a web page (Sign in to [redacted] Corp), where data was expected; "
        "is it a login page, or is telemetry.prom.url the address of something else?"
    )


def test_a_page_of_nothing_but_openings_takes_no_time_with_its_square() -> None:
    for openings in (b"<", b"<title>", b"<title "):
        for _ in range(1_000):
            web_page(openings * 16_384, "", asked=ASKED)


def test_what_is_no_tag_in_a_page_is_told() -> None:
    assert "(1 < 2 bold)" in str(web_page(b"<p>1 < 2 <b>bold", "", asked=ASKED))
