"""The office of an application: takes orders, one use case each, and answers in JSON-able terms."""

from typing import assert_never

from procession.engine.contract import Decision
from procession.engine.embedded import CLOCK_ACCEPTED
from procession.errors import PerformerError
from procession.services import (
    choosing,
    external,
    groups,
    instances,
    limiting,
    messages,
    pausing,
    repairs,
    schedules,
    scopes,
    skipping,
    worklist,
)
from procession.services.commands import (
    AcceptClock,
    AddToGroup,
    CancelInstance,
    ClaimItem,
    CloseGroup,
    CompleteCall,
    CompleteExternal,
    CompleteItem,
    FailCall,
    FailExternal,
    FetchExternal,
    HeartbeatExternal,
    Order,
    Pause,
    PauseSchedule,
    PutBackItem,
    RecordBulk,
    ResumeInstance,
    ResumeSchedule,
    RetryCall,
    RetryInstance,
    SaveDraft,
    SendMessage,
    SetLimit,
    SkipCall,
    StartInstance,
    StartItem,
    SuspendInstance,
    Unpause,
    WithdrawItem,
)
from procession.services.desk import Answer, Desk
from procession.services.order_texts import check_texts


class NoActor(PerformerError):
    """A command came without the name of whoever gives it."""

    code = "no-actor"


class Office(Desk):
    """A desk where orders are taken."""

    async def perform(self, order: Order) -> Answer:
        """Do what is ordered. Raises the refusal, a `ProcessionError` that says what to do."""
        if not order.actor.strip():
            raise NoActor("The command names nobody who gives it.", remedy="Name a person or a program with --as.")
        check_texts(order)
        match order.command:
            case StartInstance():
                return await instances.start(self, order, order.command)
            case ClaimItem() | StartItem() | SaveDraft() | PutBackItem():
                return await worklist.change(self, order, order.command)
            case CompleteItem():
                return await worklist.complete(self, order, order.command)
            case WithdrawItem():
                return await worklist.withdraw(self, order, order.command)
            case RetryInstance() | RetryCall() | CompleteCall() | FailCall() | CancelInstance():
                return await repairs.repair(self, order, order.command)
            case PauseSchedule() | ResumeSchedule():
                return await schedules.change(self, order, order.command)
            case AddToGroup() | CloseGroup():
                return await groups.change(self, order, order.command)
            case FetchExternal():
                return await external.fetch(self, order, order.command)
            case HeartbeatExternal() | CompleteExternal() | FailExternal():
                return await external.use_lease(self, order, order.command)
            case SendMessage():
                return await messages.send(self, order, order.command)
            case SuspendInstance() | ResumeInstance():
                return await pausing.pause(self, order, order.command)
            case SetLimit():
                return await limiting.change(self, order, order.command)
            case SkipCall():
                return await skipping.skip(self, order, order.command)
            case Pause() | Unpause():
                return await scopes.change(self, order, order.command)
            case RecordBulk():
                return await choosing.record(self, order, order.command)
            case AcceptClock():
                behind_us = self.accept_clock()
                decision = Decision(outcome={"accepted": True}, keeps={CLOCK_ACCEPTED: str(behind_us)})
                accepted = await self.submit(order, lambda _: decision)
                return dict(accepted.outcome)
            case _:
                assert_never(order.command)
