"""Incidents told by cases: who takes charge, who is told, and when it is over."""

import pytest

from incident.documents import Affected, Confirmed, Incident, Recovered, Repaired, Report, Severity
from incident.functions import ask_customer, inform, page, repair, review, take_charge
from incident.process import handle_incident
from procession.kernel import InstanceState
from procession.testing import World

SLOW = Incident("I-1", "web shop", "orders take minutes", ("Dell",))
DOWN = Incident("I-2", "web shop", "is down", ("Dell", "Acme"), Severity.CRITICAL)
PART = Incident("I-3", "payments", "time out", ("Bolt",), part_of="I-2")


class Company:
    """Those who keep the services running, and what their phones and mailboxes have seen."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rung: list[str] = []
        self.written: list[str] = []
        world.stub(page).does(lambda whom, incident: self.rung.append(whom))
        world.stub(inform).does(self._write)
        self.sam = world.person("sam", roles=["Service desk"])
        self.finn = world.person("finn", roles=["first line"])
        self.sara = world.person("sara", roles=["second line", "Operations"])
        self.dirk = world.person("dirk", roles=["duty manager"])

    def _write(self, customer: str, text: str) -> str:
        self.written.append(f"{customer}: {text}")
        return customer

    def alarm(self, incident: Incident) -> None:
        """The monitoring reports it."""
        self.handling = self.sam.start(handle_incident, incident)

    def is_repaired(self, cause: str = "a full disk") -> None:
        """Sara has found it."""
        self.sara.complete(repair, Repaired(cause))


@pytest.fixture
def company(world: World) -> Company:
    """A company whose services run, so far."""
    return Company(world)


def test_an_incident_is_repaired_confirmed_and_learned_from(company: Company) -> None:
    company.alarm(SLOW)
    company.finn.complete(take_charge, None)
    company.is_repaired()
    company.sam.complete(ask_customer, True)
    company.sara.complete(review, None)
    assert company.handling.result() == Report("finn", "a full disk", ("Dell",), 0)
    assert company.written == [
        "Dell: we are at work on web shop: orders take minutes",
        "Dell: web shop works again",
    ]


def test_what_nobody_takes_up_is_offered_to_the_next_line_as_well(company: Company) -> None:
    company.alarm(DOWN)
    assert not company.sara.sees(take_charge)
    company.world.advance("10 minutes")
    assert company.finn.sees(take_charge)
    company.world.advance("10 minutes")
    assert company.dirk.sees(take_charge)
    assert company.rung == ["first line", "second line", "duty manager"]
    company.sara.complete(take_charge, None)
    assert not company.finn.sees()
    assert not company.dirk.sees()
    assert company.sara.item(repair).inputs["leader"] == "sara"


def test_whoever_starts_leads_and_is_not_replaced_while_at_work(company: Company) -> None:
    company.alarm(DOWN)
    company.finn.item(take_charge).start()
    company.world.advance("1 hour")
    assert not company.dirk.sees(take_charge)
    company.finn.complete(take_charge, None)
    assert company.sara.item(repair).inputs["leader"] == "finn"


def test_customers_who_call_meanwhile_are_told_too(company: Company) -> None:
    company.alarm(DOWN)
    company.finn.complete(take_charge, None)
    company.world.send(Affected("Bolt"), key="I-2")
    assert company.written[-1] == "Bolt: we are at work on web shop: is down"
    company.is_repaired()
    company.sam.complete(ask_customer, True)
    assert company.written[-1] == "Bolt: web shop works again"


def test_what_recovers_by_itself_need_not_be_repaired(company: Company) -> None:
    company.alarm(SLOW)
    company.finn.complete(take_charge, None)
    company.world.send(Recovered("10:15"), key="I-1")
    assert not company.sara.sees(repair)
    company.world.send(Confirmed(is_solved=True), key="I-1")
    assert company.sara.item(review).inputs["cause"] == "recovered by itself at 10:15"


def test_a_recovery_that_comes_when_all_is_over_ends_no_later_incident_of_that_service(company: Company) -> None:
    company.alarm(SLOW)
    company.finn.complete(take_charge, None)
    company.is_repaired()
    company.sam.complete(ask_customer, True)
    company.world.send(Recovered("03:00"), key="I-1")
    company.alarm(DOWN)
    company.finn.complete(take_charge, None)
    assert company.sara.sees(repair)


def test_a_repair_that_takes_long_rings_higher_up_and_stays_with_whoever_is_at_it(company: Company) -> None:
    company.alarm(SLOW)
    company.finn.complete(take_charge, None)
    item = company.sara.claim(repair).start()
    company.world.advance("9 hours")
    assert company.rung == ["first line", "second line", "duty manager"]
    assert (item.state, item.holder) == ("started", "sara")


def test_a_customer_who_says_that_it_is_not_solved_has_it_taken_up_again(company: Company) -> None:
    company.alarm(SLOW)
    company.finn.complete(take_charge, None)
    company.is_repaired()
    company.world.send(Confirmed(is_solved=False), key="I-1")
    assert not company.sam.sees(ask_customer)
    company.finn.complete(take_charge, None)
    company.is_repaired("a full disk, again")
    company.world.advance("3 days")
    company.sara.complete(review, None)
    report = company.handling.result()
    assert (report.reopened, report.cause) == (1, "a full disk, again")


def test_a_part_of_another_incident_is_solved_with_that(company: Company) -> None:
    company.alarm(DOWN)
    company.finn.complete(take_charge, None)
    whole = company.handling
    company.alarm(PART)
    company.world.expect(company.handling).has_nothing()
    company.is_repaired()
    company.sam.complete(ask_customer, True, of=whole)
    company.sam.complete(ask_customer, True, of=company.handling)
    assert company.handling.state is InstanceState.COMPLETED
    assert company.handling.result() == Report("I-2", "a full disk", ("Bolt",), 0)
