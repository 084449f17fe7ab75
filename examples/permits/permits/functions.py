"""The business functions that work on an application, by what they do, and the operations each offers.

The title of an operation is the name that the municipality's own system gives the activity, spelling included.
"""

from permits.documents import (
    Admitted,
    Advice,
    Application,
    ConfirmationCheck,
    ConfirmationRuling,
    DealtWithElsewhere,
    Draft,
    Established,
    ExternalAdvice,
    ExternalRequest,
    InternalAdvice,
    Necessity,
    PermitNeeded,
    Sent,
    StopIndication,
    TextCheck,
)
from procession import Function
from procession.people import role

intake = Function("Intake", owner="intake@municipality.example")
assessment = Function("Assessment", owner="assessment@municipality.example")
review = Function("Review", owner="quality@municipality.example")
authorisation = Function("Authorisation", owner="mayor-and-aldermen@municipality.example")
dispatch = Function("Dispatch", owner="post-room@municipality.example")
internal_advice = Function("Internal advice", owner="specialists@municipality.example")
external_advice = Function("External advice", owner="assessment@municipality.example")


# --- intake: registers the application and answers for its confirmation ------------------------------------------


@intake.task(title="Confirmation of receipt", effort="15 minutes", due="1 day", by=role("intake officer"))
async def confirm_receipt(application: Application) -> Admitted | DealtWithElsewhere:
    """Register the application. If it enters the procedure, write the confirmation of its receipt."""
    ...


@intake.task(title="T03 Adjust confirmation of receipt", effort="10 minutes", due="2 days", by=role("intake officer"))
async def adjust_confirmation(application: Application, confirmation: str, remarks: str) -> Draft:
    """Adjust the confirmation of receipt to the remarks."""
    ...


# --- review: a second pair of eyes on whatever leaves the house --------------------------------------------------


@review.task(title="T02 Check confirmation of receipt", effort="5 minutes", due="2 days", by=role("reviewer"))
async def check_confirmation(application: Application, confirmation: str) -> ConfirmationCheck:
    """Is the confirmation of receipt correct, and does it still have to go out?"""
    ...


@review.task(title="T12 Check document X request unlicensed", effort="10 minutes", due="2 days", by=role("reviewer"))
async def check_notice(application: Application, notice: str) -> TextCheck:
    """Is the notice that no permit is needed correct?"""
    ...


@review.task(title="T17 Check report Y to stop indication", effort="10 minutes", due="2 days", by=role("reviewer"))
async def check_report(application: Application, report: str) -> TextCheck:
    """Is the report on stopping the term correct?"""
    ...


# --- authorisation: decides in the name of the municipality ------------------------------------------------------


@authorisation.task(
    title="T04 Determine confirmation of receipt", effort="5 minutes", due="2 days", by=role("authorised official")
)
async def establish_confirmation(application: Application, confirmation: str) -> ConfirmationRuling:
    """Establish the confirmation of receipt, say what you object to, or decide that none is issued."""
    ...


@authorisation.task(
    title="T14 Determine document X request unlicensed",
    effort="5 minutes",
    due="2 days",
    by=role("authorised official"),
)
async def establish_notice(application: Application, notice: str) -> Established:
    """Establish the notice that no permit is needed."""
    ...


@authorisation.task(
    title="T19 Determine report Y to stop indication", effort="5 minutes", due="2 days", by=role("authorised official")
)
async def establish_report(application: Application, report: str) -> Established:
    """Establish the report on stopping the term."""
    ...


# --- dispatch: prints and sends ----------------------------------------------------------------------------------


@dispatch.task(
    title="T05 Print and send confirmation of receipt", effort="5 minutes", due="1 day", by=role("post room")
)
async def send_confirmation(application: Application, confirmation: str) -> Sent:
    """Print the confirmation of receipt and send it to the applicant."""
    ...


@dispatch.task(title="T15 Print document X request unlicensed", effort="5 minutes", due="1 day", by=role("post room"))
async def print_notice(application: Application, notice: str) -> Sent:
    """Print the notice that no permit is needed and send it to the applicant."""
    ...


@dispatch.task(title="T20 Print report Y to stop indication", effort="5 minutes", due="1 day", by=role("post room"))
async def print_report(application: Application, report: str) -> Sent:
    """Print the report on stopping the term and send it to the applicant."""
    ...


# --- assessment: judges the file and writes what follows from it -------------------------------------------------


@assessment.task(
    title="T06 Determine necessity of stop advice", effort="20 minutes", due="5 days", by=role("case officer")
)
async def determine_necessity_of_advice(application: Application, advice: tuple[Advice, ...]) -> Necessity:
    """Is (further) advice needed before you can say whether the statutory term must be stopped? On what question?"""
    ...


@assessment.task(
    title="T10 Determine necessity to stop indication", effort="20 minutes", due="5 days", by=role("case officer")
)
async def determine_stop_indication(application: Application, advice: tuple[Advice, ...]) -> StopIndication:
    """Is there reason to stop the statutory term? Does the plan need a permit at all?"""
    ...


@assessment.task(
    title="T11 Create document X request unlicensed", effort="30 minutes", due="5 days", by=role("case officer")
)
async def write_notice(application: Application, advice: tuple[Advice, ...]) -> Draft | PermitNeeded:
    """Write the notice that the plan needs no permit, or say why it needs one after all."""
    ...


@assessment.task(
    title="T13 Adjust document X request unlicensed", effort="10 minutes", due="2 days", by=role("case officer")
)
async def adjust_notice(application: Application, notice: str, remarks: str) -> Draft:
    """Adjust the notice to the remarks."""
    ...


@assessment.task(title="T16 Report reasons to hold request", effort="30 minutes", due="5 days", by=role("case officer"))
async def report_reasons(application: Application, advice: tuple[Advice, ...]) -> Draft:
    """Report why the statutory term must be stopped, and what the applicant has to hand in."""
    ...


@assessment.task(
    title="T18 Adjust report Y to stop indicition", effort="10 minutes", due="2 days", by=role("case officer")
)
async def adjust_report(application: Application, report: str, remarks: str) -> Draft:
    """Adjust the report to the remarks."""
    ...


# --- internal advice: colleagues, each on one aspect of the law --------------------------------------------------


@internal_advice.task(
    title="T07-1 Draft intern advice aspect 1", effort="1 hour", due="10 days", by=role("adviser on aspect 1")
)
async def advise_on_aspect_1(application: Application, question: str, advice: tuple[Advice, ...]) -> InternalAdvice:
    """Take this up if the question concerns aspect 1: what do you advise, and are others concerned too?"""
    ...


@internal_advice.task(
    title="T07-2 Draft intern advice aspect 2", effort="1 hour", due="10 days", by=role("adviser on aspect 2")
)
async def advise_on_aspect_2(application: Application, question: str, advice: tuple[Advice, ...]) -> InternalAdvice:
    """Take this up if the question concerns aspect 2: what do you advise, and are others concerned too?"""
    ...


@internal_advice.task(
    title="T07-3 Draft intern advice hold for aspect 3", effort="1 hour", due="10 days", by=role("adviser on aspect 3")
)
async def advise_on_aspect_3(application: Application, question: str, advice: tuple[Advice, ...]) -> InternalAdvice:
    """Take this up if the question concerns aspect 3: what do you advise, and are others concerned too?"""
    ...


@internal_advice.task(
    title="T07-4 Draft internal advice to hold for type 4",
    effort="1 hour",
    due="10 days",
    by=role("adviser on aspect 4"),
)
async def advise_on_aspect_4(application: Application, question: str, advice: tuple[Advice, ...]) -> InternalAdvice:
    """Take this up if the question concerns aspect 4: what do you advise, and are others concerned too?"""
    ...


@internal_advice.task(
    title="T07-5 Draft intern advice aspect 5", effort="1 hour", due="10 days", by=role("adviser on aspect 5")
)
async def advise_on_aspect_5(application: Application, question: str, advice: tuple[Advice, ...]) -> InternalAdvice:
    """Take this up if the question concerns aspect 5: what do you advise, and are others concerned too?"""
    ...


# --- external advice: outside parties, asked in one letter -------------------------------------------------------


@external_advice.task(
    title="T08 Draft and send request for advice", effort="1 hour", due="10 days", by=role("advice coordinator")
)
async def request_external_advice(
    application: Application, question: str, advice: tuple[Advice, ...]
) -> ExternalRequest:
    """Take this up if the question is for outside parties: write to them, and say whether colleagues are concerned too."""
    ...


@external_advice.task(
    title="T09-1 Process or receive external advice from party 1",
    effort="30 minutes",
    due="28 days",
    by=role("advice coordinator"),
)
async def receive_advice_of_party_1(application: Application, request: str) -> ExternalAdvice:
    """Enter what party 1 answered."""
    ...


@external_advice.task(
    title="T09-2 Process or receive external advice from party 2",
    effort="30 minutes",
    due="28 days",
    by=role("advice coordinator"),
)
async def receive_advice_of_party_2(application: Application, request: str) -> ExternalAdvice:
    """Enter what party 2 answered."""
    ...


@external_advice.task(
    title="T09-3 Process or receive external advice from party 3",
    effort="30 minutes",
    due="28 days",
    by=role("advice coordinator"),
)
async def receive_advice_of_party_3(application: Application, request: str) -> ExternalAdvice:
    """Enter what party 3 answered."""
    ...


@external_advice.task(
    title="T09-4 Process or receive external advice from party 4",
    effort="30 minutes",
    due="28 days",
    by=role("advice coordinator"),
)
async def receive_advice_of_party_4(application: Application, request: str) -> ExternalAdvice:
    """Enter what party 4 answered."""
    ...
