"""What performers do with work items: claim, start, save a draft, complete, put back; and what an operator withdraws."""

import asyncio
from typing import Any, assert_never

from procession.engine.contract import Accepted, Decision, InstanceIsHalted, View
from procession.errors import AnswerRefused, AuthorError, InternalError, InvalidValue, PerformerError
from procession.kernel import CallCompleted, CallStarted, CallWithdrawn, Event
from procession.language.codec import TypeFailed
from procession.language.failures import message_of
from procession.language.filling_in import parsed
from procession.language.operations import Task
from procession.services.commands import (
    ClaimItem,
    CompleteItem,
    Order,
    PutBackItem,
    SaveDraft,
    StartItem,
    WithdrawItem,
)
from procession.services.desk import Answer, Desk
from procession.services.scopes import IsPaused, require_operation
from procession.store.worklist import WorkItemRow
from procession.work import worklist as rules
from procession.work.item import ItemEvent
from procession.work.performers import Performer
from procession.work.worklist import ItemChange

BODY_TIMEOUT_SECONDS = 30.0

AnyTask = Task[Any, Any, Any]


class NoSuchItem(PerformerError):
    """There is no work item of that number."""

    code = "no-such-item"


class BodyFailed(AuthorError):
    """The body of a task raised an error while it looked at an answer. The answer is kept as a draft; the instance is untouched."""

    code = "body-failed"


class OperationIsGone(AuthorError):
    """The operation of a work item is no longer in the application."""

    code = "operation-gone"


async def change(desk: Desk, order: Order, command: ClaimItem | StartItem | SaveDraft | PutBackItem) -> Answer:
    """Claim, start, save the draft of, or put back an item. Raises the refusal of `work.worklist`."""
    performer = desk.get_performer(order.actor)
    item = get_item(desk, command.item)

    def decide(view: View) -> Decision:
        row = _row(view, command.item)
        if isinstance(command, ClaimItem | StartItem):
            require_operation(view, desk.registry, row.operation)
        changed = _change_for(row, performer, command)
        events: tuple[Event, ...] = ()
        if ItemEvent.STARTED in changed.events:
            events = (CallStarted(view.now_us, row.call, performer.name),)
        return Decision(items=(changed,), events=events)

    passes_halt = not isinstance(command, StartItem)
    accepted = await desk.submit(order, decide, instance=item.instance, passes_halt=passes_halt)
    return _answer(desk, accepted, command.item, performer)


async def complete(desk: Desk, order: Order, command: CompleteItem) -> Answer:
    """Hand in an answer: checked against its type, then by the task's body where it has one, then made durable.

    Raises `InvalidValue` with the fields at fault, `BodyFailed`, or the refusal of `work.worklist`.
    """
    performer = desk.get_performer(order.actor)
    item = get_item(desk, command.item)
    seen_version = command.version if command.version is not None else item.version
    # To an ended item no answer is looked at: the engine refuses it, or gives the answer to this very order again.
    value = await _looked_at(desk, order, command, item) if item.ended_us is None else b""

    def decide(view: View) -> Decision:
        row = _row(view, command.item)
        require_operation(view, desk.registry, row.operation)
        changed = rules.complete(row, performer, seen_version=seen_version)
        completed = CallCompleted(view.now_us, row.call, value, performer.name)
        if ItemEvent.STARTED in changed.events:
            return Decision(items=(changed,), events=(CallStarted(view.now_us, row.call, performer.name), completed))
        return Decision(items=(changed,), events=(completed,))

    try:
        accepted = await desk.submit(order, decide, instance=item.instance)
    except InstanceIsHalted:
        await _keep_draft(desk, order, command, "the instance is halted")
        raise
    except IsPaused:
        await _keep_draft(desk, order, command, "the operation is paused")
        raise
    return _answer(desk, accepted, command.item, performer)


async def withdraw(desk: Desk, order: Order, command: WithdrawItem) -> Answer:
    """Take an item away from everybody; whoever awaits it in the process gets `Withdrawn`."""
    item = get_item(desk, command.item)

    def decide(view: View) -> Decision:
        row = _row(view, command.item)
        withdrawn = CallWithdrawn(view.now_us, row.call, order.reason or "", by_program=False)
        return Decision(items=(rules.withdraw(row),), events=(withdrawn,))

    accepted = await desk.submit(order, decide, instance=item.instance)
    return _answer(desk, accepted, command.item, None)


async def _looked_at(desk: Desk, order: Order, command: CompleteItem, item: WorkItemRow) -> bytes:
    task = get_task(desk, item)
    try:
        answer = parsed(task.form, command.answer, whole="answer", subject=task.id)
        return await result_of(desk, task, item, answer)
    except (BodyFailed, TypeFailed) as failed:
        await _keep_draft(desk, order, command, failed.message, body_failed=True)
        raise


async def result_of(desk: Desk, task: AnyTask, item: WorkItemRow, answer: object) -> bytes:
    """The encoded result that an answer gives: itself, or what the task's body makes of it. Raises `InvalidValue`, `BodyFailed`."""
    if not task.derives:
        return task.result.encode(answer)
    with desk.readers.snapshot() as view:
        requested = view.event(item.requested_position)
    if requested is None or requested.payload is None:
        raise InternalError(f"The input of work item {item.id} is not in the store.", subject=str(item.id))
    limit = asyncio.timeout(BODY_TIMEOUT_SECONDS)
    try:
        inputs = task.inputs.decode(requested.payload)  # as recorded: the present source may not be able to read it
        async with limit:
            result = await task.derive(answer, inputs)
        return task.result.encode(result)
    except AnswerRefused as refused:
        raise InvalidValue(
            refused.message,
            problems={refused.field: refused.message},
            subject=task.id,
            remedy="Correct it and hand it in again.",
        ) from refused
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and (running := asyncio.current_task()) and running.cancelling():
            raise  # not the body: whoever waits for the answer is gone
        fault = f"{type(error).__name__}: {message_of(error)}"
        if limit.expired() and isinstance(error, TimeoutError):
            fault = f"it took longer than {BODY_TIMEOUT_SECONDS:g} seconds"
        raise BodyFailed(
            f"The body of {task.id} failed on this answer: {fault}.",
            subject=task.id,
            remedy=f"The answer is kept as a draft. The owner ({task.function.owner}) corrects {task.where}; then complete it again.",
        ) from error


def get_item(desk: Desk, item: int) -> WorkItemRow:
    """The work item of that number. Raises `NoSuchItem`."""
    with desk.readers.snapshot() as view:
        row = view.worklist.find(item)
    if row is None:
        raise no_item(item)
    return row


def no_item(item: int) -> NoSuchItem:
    """The refusal of a number that no work item has."""
    return NoSuchItem(
        f"There is no work item {item}.", subject=str(item), remedy="`procession work list` shows those there are."
    )


def get_task(desk: Desk, item: WorkItemRow) -> AnyTask:
    """The task an item stands for. Raises `OperationIsGone`."""
    task = desk.registry.find_task(item.operation)
    if task is None:
        raise OperationIsGone(
            f"The operation {item.operation!r} of work item {item.id} is not in the application any more.",
            subject=item.operation,
            remedy='Bring it back, or name its old name with was=("…",) on the operation that took its place.',
        )
    return task


async def _keep_draft(
    desk: Desk, order: Order, command: CompleteItem, reason: str, *, body_failed: bool = False
) -> None:
    """Nothing a performer typed is lost because of a fault that is not theirs; a failed body is in the item's record."""
    performer = desk.get_performer(order.actor)

    def decide(view: View) -> Decision:
        row = _row(view, command.item)
        return Decision(items=(rules.save_draft(row, performer, command.answer.encode(), body_failed=body_failed),))

    draft = Order(SaveDraft(command.item, command.answer), order.actor, reason)
    await desk.submit(draft, decide, instance=get_item(desk, command.item).instance, passes_halt=True)


def _change_for(
    row: WorkItemRow, performer: Performer, command: ClaimItem | StartItem | SaveDraft | PutBackItem
) -> ItemChange:
    match command:
        case ClaimItem(version=version):
            return rules.claim(row, performer, seen_version=version)
        case StartItem(version=version):
            return rules.start(row, performer, seen_version=version)
        case SaveDraft(draft=draft, version=version):
            return rules.save_draft(row, performer, draft.encode(), seen_version=version)
        case PutBackItem(version=version):
            return rules.put_back(row, performer, seen_version=version)
        case _:
            assert_never(command)


def _row(view: View, item: int) -> WorkItemRow:
    row = view.item(item)
    if row is None:
        raise no_item(item)
    return row


def _answer(desk: Desk, accepted: Accepted, item: int, performer: Performer | None) -> Answer:
    row = accepted.items[0] if accepted.items else get_item(desk, item)
    instance = accepted.instance
    assert instance is not None
    answer: Answer = {
        "item": item,
        "title": row.title,
        "state": row.state,
        "version": row.version,
        "holder": row.holder,
        "instance": instance.name,
        "instance_state": instance.state,
        "halted": accepted.halted,
    }
    if performer is not None:
        with desk.readers.snapshot() as view:
            following = view.worklist.held(performer.name, limit=1) or view.worklist.offered(performer.roles, limit=1)
        answer["next_item"] = following[0].id if following else None
    return answer
