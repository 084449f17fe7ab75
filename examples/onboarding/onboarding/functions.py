"""The business functions that get somebody to work, and the operations each offers."""

from datetime import date

from onboarding.directory import Directory
from onboarding.documents import Account, BankDetails, Hire, Laptop, Seat, Talk, Verdict
from procession import Function
from procession.control import attempt, resource
from procession.people import Selection, role

people = Function("People", owner="people@company.example")
payroll = Function("Payroll", owner="payroll@company.example")
it = Function("IT", owner="it@company.example")
facilities = Function("Facilities", owner="facilities@company.example")
teams = Function("Teams", owner="board@company.example")


# --- IT: accounts and machines -----------------------------------------------------------------------------------


@it.service(attempts=10, backoff="1 minute")
async def open_account(hire: Hire, directory: Directory = resource()) -> Account:
    """Open an account in the directory."""
    return Account(directory.add(attempt().idempotency_key, hire.name))


@it.service(attempts=10, backoff="1 minute")
async def close_account(account: Account, directory: Directory = resource()) -> None:
    """Close it: whoever it was for does not come, or does not stay."""
    directory.close(account.login)


@it.task(effort="10 minutes", due="2 days")
async def grant_access(account: Account, system: str) -> None:
    """Give the account access to this system."""
    ...


@it.task(effort="2 hours", due="5 days")
async def prepare_laptop(hire: Hire) -> Laptop:
    """Order a laptop, set it up, and note its serial number."""
    ...


@it.task(effort="20 minutes", due="1 day")
async def lend_laptop(hire: Hire) -> Laptop:
    """The new laptop is not ready for the first day: set one up from the stock, on loan."""
    ...


# --- facilities and payroll --------------------------------------------------------------------------------------


@facilities.task(effort="30 minutes", due="5 days")
async def prepare_seat(hire: Hire) -> Seat:
    """Find a desk near the team, and make a badge."""
    ...


@payroll.task(effort="15 minutes", due="5 days")
async def collect_bank_details(hire: Hire) -> BankDetails:
    """Ask for the account and the tax number. Without them there is no salary at the end of the month."""
    ...


# --- people: keeps an eye on it ----------------------------------------------------------------------------------


@people.service()
async def remind(whom: str, of: str) -> None:
    """Remind somebody of what waits for them; here it is only printed."""
    print(f"To {whom}: {of} still waits for you.", flush=True)


@people.task(effort="1 hour", due="1 day")
async def welcome(hire: Hire, account: Account, laptop: Laptop, seat: Seat) -> None:
    """Meet them at the door, hand over badge and laptop, and show them around."""
    ...


@people.task(effort="2 hours", due="10 days")
async def take_course(hire: Hire, course: str) -> bool:
    """See to it that they take this course. Did they?"""
    ...


@people.task(effort="30 minutes", due="2 days")
async def call_off(hire: Hire, account: Account) -> None:
    """They do not come after all: tell everybody who has prepared something."""
    ...


# --- teams: whose lead decides -----------------------------------------------------------------------------------


@teams.task(effort="30 minutes", due="3 days")
async def talk_about_first_weeks(hire: Hire) -> Talk:
    """Take half an hour: how do they do, what do they miss, what do you agree on?"""
    ...


@talk_about_first_weeks.performers
def lead_of_the_team(hire: Hire) -> Selection:
    """Each team's own lead."""
    return role(f"lead of {hire.team}")


@teams.task(effort="1 hour", due="5 days")
async def decide_on_probation(hire: Hire, ends: date, talks: tuple[Talk, ...]) -> Verdict:
    """The probation ends soon. Do they stay, is it too early to tell, or does it end?"""
    ...


@decide_on_probation.performers
def lead_who_decides(hire: Hire, ends: date, talks: tuple[Talk, ...]) -> Selection:
    """Each team's own lead."""
    return role(f"lead of {hire.team}")
