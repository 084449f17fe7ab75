"""Somebody joins the company.

Until the first day everything is prepared side by side; a laptop that is late is replaced by one on loan, and whoever has
not handed in the bank details is reminded. Then come the courses and a talk after a month, and before the probation ends
the team's lead decides, after one more month if need be.
"""

from datetime import date, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from onboarding.documents import Account, Confirmed, Ended, Extended, Hire, Laptop, Onboarded, Talk
from onboarding.functions import (
    call_off,
    close_account,
    collect_bank_details,
    decide_on_probation,
    grant_access,
    lend_laptop,
    open_account,
    people,
    prepare_laptop,
    prepare_seat,
    remind,
    take_course,
    talk_about_first_weeks,
    welcome,
)
from procession import Call, Elapsed, attribute, deadline, each, first, process, together, until

R = TypeVar("R")

OFFICE = ZoneInfo("Europe/Amsterdam")
MONTH = timedelta(days=30)


@process(owner=people, title="{hire.name} joins {hire.team}", key="{hire.number}")
async def onboard(hire: Hire) -> Onboarded:
    """From the signed contract to the end of the probation."""
    attribute(team=hire.team, first_day=hire.first_day)
    account = await open_account(hire)
    comes = False
    try:
        bank_details = collect_bank_details.request(hire)
        _, laptop, seat, _ = await together(
            each(lambda system: grant_access(account, system), hire.systems),
            equip(hire),
            prepare_seat(hire),
            reminded(bank_details, "Payroll", f"the bank details of {hire.name}"),
        )
        await until(at_nine(hire.first_day))
        await welcome(hire, account, laptop, seat)
        comes = True
    finally:
        if not comes:  # cancelled before the first day
            await together(close_account(account), call_off(hire, account))
    courses, talk = await together(
        each(lambda course: take_course(hire, course), hire.courses),
        talk_after_a_month(hire),
    )
    return await probation(hire, account, sum(courses), (talk,))


async def equip(hire: Hire) -> Laptop:
    """A laptop by the morning before the first day, if need be one on loan"""
    eve = at_nine(hire.first_day - timedelta(days=1))
    match await first(prepare_laptop.options(due=eve)(hire), until(eve)):
        case Laptop() as laptop:
            return laptop
        case Elapsed():  # not ready in time
            return await lend_laptop(hire)


async def reminded(call: Call[R], whom: str, of: str) -> R:
    """Wait for it, and remind whoever has it every three days"""
    while True:
        try:
            async with deadline("3 days"):
                return await call
        except TimeoutError:  # the call stays open: only the waiting ended
            await remind(call.performer or whom, of)


async def talk_after_a_month(hire: Hire) -> Talk:
    """The team's lead asks how it goes"""
    await until(at_nine(hire.first_day + MONTH))
    return await talk_about_first_weeks(hire)


async def probation(hire: Hire, account: Account, courses_done: int, talks: tuple[Talk, ...]) -> Onboarded:
    """Decide a week before the probation ends, after one more month where it is too early to tell"""
    ends = hire.first_day + 2 * MONTH
    while True:
        await until(at_nine(ends - timedelta(days=7)))
        match await decide_on_probation(hire, ends, talks):
            case Confirmed():
                return Onboarded(True, account.login, courses_done, talks)
            case Extended():  # one month more, and one more talk
                ends += MONTH
                talks = (*talks, await talk_about_first_weeks(hire))
            case Ended():
                await until(at_nine(ends))
                await close_account(account)
                return Onboarded(False, account.login, courses_done, talks)


def at_nine(day: date) -> datetime:
    """When the office opens on that day."""
    return datetime.combine(day, time(9), OFFICE)
