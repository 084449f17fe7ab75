"""The receipt phase told by cases: what is offered after which answer, and how it ends."""

from typing import Any

from permits.documents import (
    Admitted,
    AdviceNeed,
    ConfirmationCheck,
    ConfirmationRuling,
    DealtWithElsewhere,
    Draft,
    Established,
    ExternalAdvice,
    ExternalRequest,
    Finding,
    InternalAdvice,
    Necessity,
    Outcome,
    PermitNeeded,
    ReceiptPhase,
    Ruling,
    Sent,
    Stop,
    StopIndication,
    TextCheck,
)

ADMITTED = Admitted("Dear applicant", "Group 1")
CORRECT = ConfirmationCheck(Finding.CORRECT, "", "Group 4")
MISTAKES = ConfirmationCheck(Finding.MISTAKES, "wrong street", "Group 4")
ESTABLISHED = ConfirmationRuling(Ruling.ESTABLISHED, "", "Group 3")
SENT = Sent("Group 2")
NO_ADVICE = Necessity(AdviceNeed.NONE, "", "Group 1")
ADVICE_WANTED = Necessity(AdviceNeed.WANTED, "Is the dike safe?", "Group 1")
ADVISERS = {"T07-1", "T07-2", "T07-3", "T07-4", "T07-5", "T08"}
PARTIES = {"T09-1", "T09-2", "T09-3", "T09-4"}


def confirmed(case: Any) -> Any:
    """The case with its receipt confirmed, and the question of advice open."""
    return case.does("C", ADMITTED).does("T02", CORRECT).does("T04", ESTABLISHED).does("T05", SENT)


def test_an_ordinary_application_is_confirmed_and_goes_on_into_the_procedure(case: Any) -> None:
    confirmed(case).does("T06", NO_ADVICE).does("T10", StopIndication(Stop.NO, "Group 1"))
    assert case.result == ReceiptPhase(Outcome.IN_PROCEDURE, confirmed=True, advice=())


def test_an_application_for_another_authority_ends_at_once(case: Any) -> None:
    case.does("C", DealtWithElsewhere("the province decides", ""))
    assert case.result == ReceiptPhase(Outcome.NOT_IN_PROCEDURE, confirmed=False, advice=())


def test_confirming_and_assessing_wait_side_by_side(case: Any) -> None:
    case.does("C", ADMITTED)
    assert case.offered == {"T02", "T06"}
    assert case.does("T06", NO_ADVICE).offered == {"T02", "T10"}


def test_mistakes_are_adjusted_and_checked_again_with_the_new_text(case: Any) -> None:
    case.does("C", ADMITTED).does("T02", MISTAKES)
    assert case.inputs("T03")["remarks"] == "wrong street"
    case.does("T03", Draft("Dear applicant, in Church Street", "Group 1"))
    assert case.inputs("T02")["confirmation"] == "Dear applicant, in Church Street"


def test_what_the_official_objects_to_is_adjusted_and_checked_again(case: Any) -> None:
    case.does("C", ADMITTED).does("T02", CORRECT).does("T04", ConfirmationRuling(Ruling.OBJECTIONS, "too long", ""))
    assert case.offered == {"T03", "T06"}
    assert case.does("T03", Draft("Dear", "")).offered == {"T02", "T06"}


def test_a_confirmation_that_is_no_longer_due_is_not_sent(case: Any) -> None:
    case.does("C", ADMITTED).does("T02", ConfirmationCheck(Finding.NO_LONGER_DUE, "withdrawn", ""))
    case.does("T06", Necessity(AdviceNeed.MOOT, "", ""))
    assert case.result == ReceiptPhase(Outcome.CLOSED, confirmed=False, advice=())


def test_a_question_is_offered_to_all_advisers_and_taken_up_by_one(case: Any) -> None:
    confirmed(case).does("T06", ADVICE_WANTED)
    assert case.offered == ADVISERS
    opinion = InternalAdvice("it is", others_concerned=False, group="Group 13")
    case.does("T07-1", opinion)
    assert case.offered == {"T06"}
    assert case.inputs("T06")["advice"] == (opinion,)


def test_an_adviser_who_sees_another_aspect_has_the_others_asked(case: Any) -> None:
    confirmed(case).does("T06", ADVICE_WANTED).does("T07-3", InternalAdvice("ask on", others_concerned=True, group=""))
    assert case.offered == ADVISERS - {"T07-3"}


def test_the_first_outside_party_to_answer_ends_the_wait_for_the_others(case: Any) -> None:
    confirmed(case).does("T06", ADVICE_WANTED).does(
        "T08", ExternalRequest("Please", colleagues_concerned=False, group="")
    )
    assert case.offered == PARTIES
    assert case.does("T09-3", ExternalAdvice("no objections", "")).offered == {"T06"}


def test_colleagues_advise_while_the_outside_parties_think(case: Any) -> None:
    confirmed(case).does("T06", ADVICE_WANTED).does(
        "T08", ExternalRequest("Please", colleagues_concerned=True, group="")
    )
    assert case.offered == PARTIES | (ADVISERS - {"T08"})
    case.does("T09-1", ExternalAdvice("no objections", ""))
    case.does("T07-5", InternalAdvice("fine", others_concerned=False, group=""))
    assert [type(advice).__name__ for advice in case.inputs("T06")["advice"]] == ["InternalAdvice", "ExternalAdvice"]


def test_a_plan_that_needs_no_permit_gets_a_checked_and_established_notice(case: Any) -> None:
    confirmed(case).does("T06", NO_ADVICE).does("T10", StopIndication(Stop.NO_PERMIT_NEEDED, ""))
    case.does("T11", Draft("no permit", "")).does("T12", TextCheck(correct=False, remarks="which law?", group=""))
    case.does("T13", Draft("no permit by article 3", "")).does("T12", TextCheck(correct=True, remarks="", group=""))
    assert case.inputs("T14")["notice"] == "no permit by article 3"
    case.does("T14", Established("")).does("T15", SENT)
    assert case.result.outcome is Outcome.NO_PERMIT_NEEDED


def test_writing_the_notice_may_show_that_a_permit_is_needed_after_all(case: Any) -> None:
    confirmed(case).does("T06", NO_ADVICE).does("T10", StopIndication(Stop.NO_PERMIT_NEEDED, ""))
    assert case.does("T11", PermitNeeded("a listed building", "")).result.outcome is Outcome.IN_PROCEDURE


def test_the_term_stops_when_the_report_has_gone_out(case: Any) -> None:
    confirmed(case).does("T06", NO_ADVICE).does("T10", StopIndication(Stop.YES, "")).does("T16", Draft("because", ""))
    case.does("T17", TextCheck(correct=False, remarks="since when?", group="")).does("T18", Draft("since May", ""))
    case.does("T17", TextCheck(correct=True, remarks="", group="")).does("T19", Established("")).does("T20", SENT)
    assert case.result.outcome is Outcome.TERM_STOPPED
