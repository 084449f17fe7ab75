"""Somebody joins, told by cases: what is prepared side by side, what comes late, and how the probation ends."""

from datetime import date
from pathlib import Path

import pytest

from onboarding.directory import Directory
from onboarding.documents import (
    Account,
    BankDetails,
    Confirmed,
    Ended,
    Extended,
    Hire,
    Laptop,
    Onboarded,
    Seat,
    Talk,
    Verdict,
)
from onboarding.functions import (
    call_off,
    close_account,
    collect_bank_details,
    decide_on_probation,
    facilities,
    grant_access,
    it,
    lend_laptop,
    open_account,
    payroll,
    prepare_laptop,
    prepare_seat,
    remind,
    take_course,
    talk_about_first_weeks,
    welcome,
)
from onboarding.process import onboard
from procession.kernel import InstanceState
from procession.testing import World

NORA = Hire("17", "Nora", "Sales", date(2026, 4, 1), systems=("mail", "orders"), courses=("safety", "products"))
DETAILS = BankDetails("NL91ABNA0417164300", "123456782")
LAPTOP = Laptop("L-1")
LOAN = Laptop("L-0", on_loan=True)
WELL = Talk(goes_well=True, agreed="a visit to a customer")


class Company:
    """Those who get Nora to work. It is 2 March; she comes on 1 April, and her probation ends on 31 May."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.directory = world.stub(open_account).returns(Account("nora"))
        self.closing = world.stub(close_account)
        self.petra = world.person("petra", roles=["People", "Payroll"])
        self.ivan = world.person("ivan", roles=["IT"])
        self.fleur = world.person("fleur", roles=["Facilities"])
        self.lena = world.person("lena", roles=["lead of Sales"])
        self.mo = world.person("mo", roles=["lead of Engineering"])

    def hires(self, hire: Hire = NORA) -> None:
        """Petra has a signed contract."""
        self.onboarding = self.petra.start(onboard, hire)

    def prepares(self, *, laptop: Laptop | None = LAPTOP) -> None:
        """All is done for the first day; without a laptop, all but that."""
        self.ivan.answers(grant_access, None)
        if laptop is not None:
            self.ivan.complete(prepare_laptop, laptop)
        self.fleur.complete(prepare_seat, Seat("2.14", "B-99"))
        self.petra.complete(collect_bank_details, DETAILS)

    def welcomes(self) -> None:
        """It is the first day, and Nora is there."""
        self.world.advance_to("2026-04-01 10:00")
        self.petra.complete(welcome, None)

    def gets_to_know(self, talk: Talk = WELL) -> None:
        """The first month: the courses, and the talk after it."""
        self.petra.answers(take_course, lambda hire, course: course == "safety")
        self.world.advance_to("2026-05-04 09:00")
        self.lena.complete(talk_about_first_weeks, talk)

    def decides(self, verdict: Verdict) -> None:
        """A week before the probation ends, Lena decides."""
        self.world.advance_to("2026-05-25 09:00")
        self.lena.complete(decide_on_probation, verdict)


@pytest.fixture
def company(world: World) -> Company:
    """A company that is about to hire somebody."""
    return Company(world)


def test_somebody_joins_and_stays(company: Company) -> None:
    company.hires()
    company.prepares()
    company.welcomes()
    company.gets_to_know()
    company.decides(Confirmed("a natural"))
    assert company.onboarding.result() == Onboarded(True, "nora", 1, (WELL,))


def test_everything_for_the_first_day_is_asked_for_side_by_side(company: Company) -> None:
    company.hires()
    company.world.expect(it).has(3)
    company.world.expect(prepare_laptop).has(1, due=date(2026, 3, 31))
    company.world.expect(facilities).has(1, due="Saturday")
    company.world.expect(payroll).has(1)
    assert sorted(item.inputs["system"] for item in company.ivan.items(grant_access)) == ["mail", "orders"]


def test_a_laptop_that_is_not_ready_the_day_before_is_lent(company: Company) -> None:
    company.hires()
    company.prepares(laptop=None)
    company.ivan.claim(prepare_laptop)
    company.world.advance_to("2026-03-31 09:00")
    assert not company.ivan.sees(prepare_laptop)
    company.ivan.complete(lend_laptop, LOAN)
    company.world.advance_to("2026-04-01 09:00")
    assert company.petra.item(welcome).inputs["laptop"] == LOAN


def test_who_has_the_bank_details_to_collect_is_reminded_every_three_days(company: Company) -> None:
    reminded: list[str] = []
    company.world.stub(remind).does(lambda whom, of: reminded.append(f"{whom}: {of}"))
    company.hires()
    company.world.advance("4 days")
    company.petra.claim(collect_bank_details).start()
    company.world.advance("3 days")
    company.petra.complete(collect_bank_details, DETAILS)
    company.world.advance("9 days")
    assert reminded == ["Payroll: the bank details of Nora", "petra: the bank details of Nora"]


def test_a_directory_that_is_down_for_an_hour_delays_nobody_for_longer(company: Company) -> None:
    company.directory.fails(ConnectionError("no route to host"), times=6)
    company.hires()
    assert company.directory.attempts == 7
    assert company.ivan.sees(prepare_laptop)


def test_a_directory_that_stays_down_is_a_case_for_the_operator_and_loses_nothing(company: Company) -> None:
    company.directory.fails(ConnectionError("no route to host"), times=10)
    company.hires()
    assert not company.ivan.sees(prepare_laptop)
    company.petra.retry(company.onboarding, open_account)
    assert company.ivan.sees(prepare_laptop)


def test_who_does_not_come_after_all_has_no_account_and_everybody_is_told(company: Company) -> None:
    company.hires()
    company.prepares()
    company.petra.cancel(company.onboarding, reason="stays where she is")
    assert company.closing.attempts == 1
    company.petra.complete(call_off, None)
    assert company.onboarding.state is InstanceState.CANCELLED
    company.world.expect(company.onboarding).has_nothing()


def test_only_the_lead_of_the_team_sees_its_talks_and_decisions(company: Company) -> None:
    company.hires(Hire("18", "Noor", "Engineering", date(2026, 4, 1)))
    company.prepares()
    company.welcomes()
    company.world.advance_to("2026-05-04 09:00")
    assert company.mo.sees(talk_about_first_weeks)
    assert not company.lena.sees()


def test_the_probation_goes_on_for_a_month_where_it_is_too_early_to_tell(company: Company) -> None:
    company.hires()
    company.prepares()
    company.welcomes()
    company.gets_to_know()
    company.decides(Extended("was ill"))
    again = Talk(goes_well=True, agreed="goes on")
    company.lena.complete(talk_about_first_weeks, again)
    company.world.advance_to("2026-06-23 10:00")
    assert company.lena.item(decide_on_probation).inputs["talks"] == (WELL, again)
    company.lena.complete(decide_on_probation, Confirmed("well again"))
    assert company.onboarding.result().stays


def test_who_leaves_keeps_the_account_until_the_last_day(company: Company) -> None:
    company.hires()
    company.prepares()
    company.welcomes()
    company.gets_to_know()
    company.decides(Ended("looks for something else"))
    assert company.closing.attempts == 0
    company.world.advance_to("2026-05-31 09:00")
    assert company.closing.attempts == 1
    assert not company.onboarding.result().stays


def test_the_directory_opens_one_account_for_a_request_that_comes_twice(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    directory = Directory(file)
    assert directory.add("k-1", "Nora Smith") == directory.add("k-1", "Nora Smith") == "norasmith"
    assert Directory(file).add("k-2", "Nora Smith") == "norasmith2"
    directory = Directory(file)
    directory.close("norasmith")
    assert Directory(file).add("k-3", "Nora Smith") == "norasmith"
