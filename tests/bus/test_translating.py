"""What another try can cure is transient; what it cannot is permanent."""

import asyncio
import contextlib

import nats.errors
import pytest
from nats.js import errors

from daemon.bus import subjects
from daemon.bus.translating import translate, translated
from daemon.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused, TimedOut, TransientError, Unavailable, VerdictdError


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (nats.errors.TimeoutError(), TimedOut),
        (TimeoutError(), TimedOut),
        (nats.errors.NoRespondersError(), Unavailable),
        (errors.NoStreamResponseError(), Unavailable),
        (nats.errors.ConnectionClosedError(), Unavailable),
        (nats.errors.OutboundBufferLimitError(), Unavailable),
        (ConnectionResetError("reset"), Unavailable),
        (errors.ServerError(code=500, err_code=10047, description="insufficient storage"), Unavailable),
        (errors.ServiceUnavailableError(code=503), Unavailable),
        (errors.APIError(description="no code"), Unavailable),
        (errors.NotFoundError(code=404), NotFound),
        (errors.BadRequestError(code=400, err_code=10071), Conflict),
        (errors.BadRequestError(code=400, err_code=10164), Conflict),
        (errors.BadRequestError(code=400, err_code=10052), Refused),
        (nats.errors.MaxPayloadError(), Refused),
        (nats.errors.BadSubjectError(), Refused),
        (nats.errors.AuthorizationError(), Forbidden),
    ],
)
def test_each_error_has_one_meaning(raised: Exception, expected: type[VerdictdError]) -> None:
    translation = translate(raised, "writing")
    assert type(translation) is expected
    assert str(translation).startswith("writing: ")


def test_where_nobody_answers_it_is_said_so_whatever_the_library_calls_it() -> None:
    for raised in (errors.ServiceUnavailableError(), errors.NoStreamResponseError(), nats.errors.NoRespondersError()):
        assert str(translate(raised, "fetching")).startswith("fetching: JetStream does not answer (")


def test_the_cause_is_kept_and_other_errors_pass() -> None:
    cause = nats.errors.ConnectionClosedError()
    with pytest.raises(Unavailable) as caught, translated("writing"):
        raise cause
    assert caught.value.__cause__ is cause
    with pytest.raises(ValueError, match="ours"), translated("writing"):
        raise ValueError("ours")


def test_subjects_are_made_of_checked_tokens() -> None:
    place = {"cluster": "prod", "namespace": "shop", "service": "web"}
    assert subjects.release_subject(**place) == "verdictd.release.prod.shop.web"
    assert subjects.verdict_subject(**place) == "verdictd.verdict.prod.shop.web"
    assert subjects.cdevent_subject(**place) == "verdictd.cdevents.prod.shop.web"
    for field in place:
        for bad in (">", "*", "a.b", "a b", "a\n", ""):
            with pytest.raises(InvalidInput, match=field):
                subjects.release_subject(**{**place, field: bad})


@pytest.mark.parametrize("error", [None, nats.errors.TimeoutError(), Unavailable("what a refusal was made into")])
async def test_a_cancellation_that_the_library_loses_is_raised_all_the_same(error: Exception | None) -> None:
    """What ``asyncio.wait_for`` does before Python 3.12 when result and cancellation come in the same turn."""

    async def losing() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None

    async def for_ever() -> None:
        while True:
            with contextlib.suppress(TransientError), translated("fetching"):
                await losing()

    task = asyncio.ensure_future(for_ever())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5.0)
    assert task.cancelled()


async def test_cleaning_up_after_a_cancellation_may_still_ask_nats() -> None:
    asked = []

    async def cleaning() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for number in range(2):
                with translated("putting back"):
                    asked.append(number)

    task = asyncio.ensure_future(cleaning())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert asked == [0, 1]
