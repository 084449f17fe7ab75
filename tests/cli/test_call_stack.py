"""What `show` says of an attempt that is still to be made: when it begins, or what it waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from procession.cli.call_stack import next_attempt
from procession.cli.output import local_near
from procession.services.records import LimitShown, PauseShown, Wait

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PAST, SOON, LATER = NOW - timedelta(minutes=20), NOW + timedelta(seconds=30), NOW + timedelta(hours=2)
PAUSE = PauseShown("system", "mail", NOW, "ann", "", "run")
LIMITS = (LimitShown("Mail.send", 4, None, ""), LimitShown("mail", None, 9, ""))


def wait(
    due: datetime, pause: PauseShown | None = None, limits: tuple[LimitShown, ...] = (), state: str = "due"
) -> Wait:
    return Wait(
        3, "service", "Mail.send", "Send", state, NOW, due, is_overdue=False, attempts=0, pause=pause, limits=limits
    )


@pytest.mark.parametrize(
    ("call", "runs", "told"),
    [
        (wait(LATER), True, f"next attempt at {LATER:%Y-%m-%d %H:%M}"),
        (wait(SOON), True, f"next attempt at {SOON:%Y-%m-%d %H:%M:%S}"),
        (wait(PAST), True, "an attempt is due"),
        (
            wait(PAST, limits=LIMITS),
            True,
            "it waits for its turn: Mail.send is limited to 4 at once and mail is limited",
        ),
        (wait(LATER, limits=LIMITS), True, "next attempt at"),
        (wait(PAST, limits=LIMITS), False, "an attempt is due; no engine runs"),
        (wait(PAST, PAUSE, LIMITS), True, "no attempt begins"),
        (wait(PAST, state="running"), True, "an attempt runs now"),
    ],
)
def test_a_time_that_is_past_is_never_given_as_that_of_the_next_attempt(call: Wait, runs: bool, told: str) -> None:
    assert next_attempt(call, UTC, now=NOW, engine_runs=runs, is_suspended=False).startswith(told)


def test_no_attempt_begins_in_an_instance_that_is_suspended() -> None:
    assert next_attempt(wait(LATER), UTC, now=NOW, engine_runs=True, is_suspended=True) == "no attempt begins"


@pytest.mark.parametrize(("moment", "with_seconds"), [(PAST, False), (SOON, True), (LATER, False), (NOW, True)])
def test_a_time_is_told_to_the_second_where_it_is_near(moment: datetime, with_seconds: bool) -> None:
    form = "%Y-%m-%d %H:%M:%S" if with_seconds else "%Y-%m-%d %H:%M"
    assert local_near(moment, UTC, now=NOW) == moment.strftime(form)
