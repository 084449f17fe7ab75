"""The receipt phase of an application for an environmental permit.

Two lines of work run side by side: the applicant is told that the application came in, and the municipality finds out
whether the statutory term in which it has to decide must be stopped. The second may show that no permit is needed.
"""

import asyncio
from collections.abc import Callable, Sequence

from permits.documents import (
    Admitted,
    Advice,
    AdviceNeed,
    Application,
    DealtWithElsewhere,
    Draft,
    ExternalAdvice,
    ExternalRequest,
    Finding,
    InternalAdvice,
    Outcome,
    PermitNeeded,
    ReceiptPhase,
    Ruling,
    Stop,
)
from permits.functions import (
    adjust_confirmation,
    adjust_notice,
    adjust_report,
    advise_on_aspect_1,
    advise_on_aspect_2,
    advise_on_aspect_3,
    advise_on_aspect_4,
    advise_on_aspect_5,
    assessment,
    check_confirmation,
    check_notice,
    check_report,
    confirm_receipt,
    determine_necessity_of_advice,
    determine_stop_indication,
    establish_confirmation,
    establish_notice,
    establish_report,
    print_notice,
    print_report,
    receive_advice_of_party_1,
    receive_advice_of_party_2,
    receive_advice_of_party_3,
    receive_advice_of_party_4,
    report_reasons,
    request_external_advice,
    send_confirmation,
    write_notice,
)
from procession import Call, attribute, process, together

Ask = Callable[[Application, str, tuple[Advice, ...]], Call[InternalAdvice | ExternalRequest]]

# All who may have something to say on a question. Which of them a file concerns is not known beforehand: they are all
# offered the question, and whoever is concerned takes it up.
ADVISERS: tuple[Ask, ...] = (
    advise_on_aspect_1.request,
    advise_on_aspect_2.request,
    advise_on_aspect_3.request,
    advise_on_aspect_4.request,
    advise_on_aspect_5.request,
    request_external_advice.request,
)
PARTIES = (receive_advice_of_party_1, receive_advice_of_party_2, receive_advice_of_party_3, receive_advice_of_party_4)


@process(owner=assessment, title="Permit application {application.case}", key="{application.case}")
async def receive_application(application: Application) -> ReceiptPhase:
    """From the arrival of an application to the start of the decision on it."""
    attribute(channel=application.channel, department=application.department)
    match await confirm_receipt(application):
        case DealtWithElsewhere():  # not for this procedure
            return ReceiptPhase(Outcome.NOT_IN_PROCEDURE, confirmed=False, advice=())
        case Admitted(confirmation):  # taken into procedure
            confirmed, (outcome, advice) = await together(
                confirm_to_applicant(application, confirmation), assess_the_term(application)
            )
            return ReceiptPhase(outcome, confirmed, advice)


async def confirm_to_applicant(application: Application, confirmation: str) -> bool:
    """Confirm the receipt to the applicant, once it was checked and established"""
    while True:
        check = await check_confirmation(application, confirmation)
        if check.finding is Finding.NO_LONGER_DUE:
            return False
        remarks = check.remarks
        if check.finding is Finding.CORRECT:
            decision = await establish_confirmation(application, confirmation)
            if decision.ruling is Ruling.NOT_ISSUED:
                return False
            if decision.ruling is Ruling.ESTABLISHED:
                await send_confirmation(application, confirmation)
                return True
            remarks = decision.remarks
        confirmation = (await adjust_confirmation(application, confirmation, remarks)).text


async def assess_the_term(application: Application) -> tuple[Outcome, tuple[Advice, ...]]:
    """Find out whether the statutory term must be stopped, and act on it"""
    advice: tuple[Advice, ...] = ()
    while True:
        necessity = await determine_necessity_of_advice(application, advice)
        if necessity.need is AdviceNeed.MOOT:  # withdrawn, or settled otherwise
            return Outcome.CLOSED, advice
        if necessity.need is AdviceNeed.NONE:
            break
        advice = await seek_advice(application, necessity.question, advice)

    indication = await determine_stop_indication(application, advice)
    match indication.stop:
        case Stop.NO:
            return Outcome.IN_PROCEDURE, advice
        case Stop.NO_PERMIT_NEEDED:
            return await notify_no_permit_needed(application, advice), advice
        case Stop.YES:
            return await stop_the_term(application, advice), advice


async def seek_advice(
    application: Application, question: str, advice: tuple[Advice, ...], advisers: tuple[Ask, ...] = ADVISERS
) -> tuple[Advice, ...]:
    """Ask round until nobody else is concerned: whoever takes the question up first answers it"""
    if not advisers:  # everybody has been asked
        return advice
    offers = [ask(application, question, advice) for ask in advisers]
    taken = await first_taken_up(offers)
    others = advisers[:taken] + advisers[taken + 1 :]
    match await offers[taken]:
        case InternalAdvice(others_concerned=True) as opinion:  # another aspect is concerned too
            return await seek_advice(application, question, (*advice, opinion), others)
        case InternalAdvice() as opinion:
            return (*advice, opinion)
        case ExternalRequest(letter, colleagues_concerned=True):  # colleagues need not wait for the post
            answer, opinions = await together(
                receive_external_advice(application, letter), seek_advice(application, question, advice, others)
            )
            return (*opinions, answer)
        case ExternalRequest(letter):
            return (*advice, await receive_external_advice(application, letter))


async def receive_external_advice(application: Application, letter: str) -> ExternalAdvice:
    """Wait for the first of the outside parties to answer; the others need not answer any more"""
    offers = [receive.request(application, letter) for receive in PARTIES]
    return await offers[await first_taken_up(offers)]


async def notify_no_permit_needed(application: Application, advice: tuple[Advice, ...]) -> Outcome:
    """Tell the applicant that the plan needs no permit"""
    match await write_notice(application, advice):
        case PermitNeeded():  # after all
            return Outcome.IN_PROCEDURE
        case Draft(notice):
            while not (check := await check_notice(application, notice)).correct:
                notice = (await adjust_notice(application, notice, check.remarks)).text
            await establish_notice(application, notice)
            await print_notice(application, notice)
            return Outcome.NO_PERMIT_NEEDED


async def stop_the_term(application: Application, advice: tuple[Advice, ...]) -> Outcome:
    """Report to the applicant why the term stops and what is missing"""
    report = (await report_reasons(application, advice)).text
    while not (check := await check_report(application, report)).correct:
        report = (await adjust_report(application, report, check.remarks)).text
    await establish_report(application, report)
    await print_report(application, report)
    return Outcome.TERM_STOPPED


async def first_taken_up(offers: Sequence[Call[object]]) -> int:
    """Which of the offers is started first; the others are withdrawn"""
    starts = [asyncio.create_task(offer.started()) for offer in offers]
    await asyncio.wait(starts, return_when=asyncio.FIRST_COMPLETED)
    taken = next(number for number, start in enumerate(starts) if start.done())
    for number, (offer, start) in enumerate(zip(offers, starts, strict=True)):
        if number != taken:
            start.cancel()
            offer.withdraw("somebody else took it up")
    return taken
