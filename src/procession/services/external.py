"""Work for outside programs: fetch a call, keep it by heartbeats, complete or fail it under the token of the lease."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from procession.engine.contract import Accepted, Decision, Request, View
from procession.engine.deciding import IdentifierUsedTwice
from procession.errors import AuthorError, InvalidValue, OperatorError, PerformerError
from procession.kernel import CallCompleted, CallFailed, CallStarted, Failure
from procession.language.externals import External
from procession.language.failures import clean_text
from procession.language.filling_in import parsed
from procession.language.names import normal_name
from procession.language.registry import Registry
from procession.services.commands import CompleteExternal, FailExternal, FetchExternal, HeartbeatExternal, Order
from procession.services.desk import Answer, Desk
from procession.services.lengths import length_of
from procession.services.records import moment
from procession.services.scopes import require_operation
from procession.store.external_calls import ExternalCallRow, ExternalState
from procession.store.instances import InstanceRow

AnyExternal = External[..., object]
Lease = HeartbeatExternal | CompleteExternal | FailExternal
MOST_FETCHED = 100
MOST_FETCHED_BYTES = 4_000_000
"""Of inputs in one answer, which has to go over the socket; who fetches again gets what is left."""


class NoSuchExternal(PerformerError):
    """The application has no operation of that name that an outside program does."""

    code = "no-such-external"


class StaleLease(PerformerError):
    """The call was handed out again, or has ended, since this token was given: what it brings changes nothing."""

    code = "stale-lease"


class ResultNotTaken(OperatorError):
    """The code of the result's type failed on what an outside program handed in; its lease stays."""

    code = "result-not-taken"


class _Taken(PerformerError):
    """Somebody else was faster."""


def get_external(registry: Registry, name: str) -> AnyExternal:
    """The operation of that id, or of that name alone where only one has it. Raises `NoSuchExternal` with those there are."""
    found = registry.find_external(name)
    externals = registry.externals
    alike = [found] if found is not None else [each for each in externals if each.name == name]
    if len(alike) == 1:
        return alike[0]
    known = ", ".join(sorted(each.id for each in alike or externals)) or "none"
    told = f"More than one operation is named {name!r}" if alike else f"No outside program does {name!r}"
    raise NoSuchExternal(f"{told}.", subject=name, remedy=f"The application has: {known}.")


async def fetch(desk: Desk, order: Order, command: FetchExternal) -> Answer:
    """Hand out what waits for an outside program, the oldest first; each call to one worker, for the length of a lease.

    An order that is repeated under its client's identifier is given the calls that the first one was. Raises
    `IdentifierUsedTwice` where that was another order.
    """
    operation = get_external(desk.registry, command.operation)
    worker = normal_name(command.worker, what="name of the worker")
    if not 1 <= command.limit <= MOST_FETCHED:
        raise InvalidValue(
            f"{command.limit} calls cannot be fetched at once.",
            problems={"limit": f"is not from 1 to {MOST_FETCHED}"},
            subject="limit",
            remedy=f"Fetch 1 to {MOST_FETCHED}, and the others when these are done.",
        )
    lease_us = operation.lease.length_us if command.lease is None else _length(command.lease)
    fetched = await _handed_out(desk, order)
    is_repeated = bool(fetched)
    for name in desk.registry.names_of_operation(operation.id):
        for row in () if is_repeated else await _offered(desk, order, name, command.limit - len(fetched)):
            if _size_of(fetched) > MOST_FETCHED_BYTES:
                break
            once = replace(order, client_id=_identifier(order, len(fetched)))
            try:
                fetched.append(await _lease(desk, once, row, worker, lease_us))
            except IdentifierUsedTwice:
                raise
            except PerformerError:
                continue  # somebody else was faster, or its instance stands still
    # The same order may be at work a second time, and have been faster with all there is.
    return {"operation": operation.id, "calls": fetched or await _handed_out(desk, order), "repeated": is_repeated}


async def use_lease(desk: Desk, order: Order, command: Lease) -> Answer:
    """Renew a lease, or end it with a result or an error. Raises `StaleLease`; a repeated end is answered as the first."""
    held = _Held.of(desk, command.token)
    match command:
        case HeartbeatExternal():
            accepted = await _beat(desk, order, held, command)
            return {"token": command.token, **accepted}
        case CompleteExternal():
            decide, how = _completion(desk.registry, held, command), "completed"
        case FailExternal():
            decide, how = _failing(desk.registry, held, command), "failed"
        case _:
            assert_never(command)
    once = replace(order, client_id=f"{how} {command.token}")
    try:
        # The work is done, so it is taken whatever its instance is about: it waits there, as the result of a service does.
        done = await desk.submit(once, decide, instance=held.instance.id, passes_halt=True, passes_suspension=True)
    except IdentifierUsedTwice:
        raise held.stale(f"Call {held.call} of {held.instance.name} has {how} with something else") from None
    return {**done.outcome, "token": command.token, "repeated": done.repeated, "halted": done.halted}


@dataclass(frozen=True, slots=True)
class _Held:
    """What a token stands for: a call of an instance, and the number of the lease."""

    token: str
    instance: InstanceRow
    call: int
    fencing: int

    @classmethod
    def of(cls, desk: Desk, token: str) -> "_Held":
        name, _, rest = token.partition(":")
        call, _, fencing = rest.partition(":")
        if not (call.isdecimal() and fencing.isdecimal() and len(rest) < 30):
            raise InvalidValue(
                f"{token!r} is no token of a lease.",
                problems={"token": "is none that was given"},
                subject=token,
                remedy="Hand in the token that came with the call, as it is.",
            )
        return cls(token, desk.get_instance(name), int(call), int(fencing))

    def row(self, view: View) -> ExternalCallRow:
        """The row of the call. Raises `StaleLease` where this lease is not the last one."""
        row = view.external_call(self.instance.id, self.call)
        if row is None:
            raise self.stale(f"Call {self.call} of {self.instance.name} has ended")
        if row.fencing != self.fencing and row.lease_until_us == 0:
            raise self.stale(f"Call {self.call} of {self.instance.name} was given back")
        if row.fencing != self.fencing:
            raise self.stale(f"Call {self.call} of {self.instance.name} was handed out again, to {row.worker}")
        return row

    def stale(self, why: str) -> StaleLease:
        """The refusal of what comes under this lease."""
        return StaleLease(
            f"{why}: the lease {self.token} is over.",
            subject=self.token,
            remedy="Drop this work. A heartbeat in time keeps a lease.",
        )


async def _offered(desk: Desk, order: Order, operation: str, limit: int) -> list[ExternalCallRow]:
    found: list[ExternalCallRow] = []

    def decide(view: View) -> Decision:
        require_operation(view, desk.registry, operation)
        found[:] = view.offered_externals(operation, limit=limit)
        return Decision()

    if limit > 0:
        await desk.engine.submit(Request("FetchExternal", order.actor, decide, recorded=False))
    return found


def _size_of(calls: list[dict[str, object]]) -> int:
    return sum(len(json.dumps(each["input"], ensure_ascii=False).encode()) for each in calls)


def _identifier(order: Order, number: int) -> str | None:
    """Under which an order has its calls handed out, each of them a request: the first under its own."""
    return f"{order.client_id}:{number}" if order.client_id is not None and number else order.client_id


async def _handed_out(desk: Desk, order: Order) -> list[dict[str, object]]:
    """The calls that this very order was given before."""
    given: list[dict[str, object]] = []
    while (client_id := _identifier(order, len(given))) is not None:
        with desk.readers.snapshot() as view:
            earlier = view.request_of_client(client_id)
        if earlier is None:
            break
        accepted = await desk.submit(replace(order, client_id=client_id), _refuse_anew, instance=earlier.instance)
        given.append(_told(desk, accepted))
    return given


def _refuse_anew(_: View) -> Decision:
    raise _Taken(
        "What was handed out is no longer known under this identifier.", remedy="Fetch under another identifier."
    )


async def _lease(desk: Desk, order: Order, offered: ExternalCallRow, worker: str, lease_us: int) -> dict[str, object]:
    def decide(view: View) -> Decision:
        row = view.external_call(offered.instance, offered.call)
        if row is None or row.state(view.now_us) is not ExternalState.OFFERED:
            raise _Taken(f"Call {offered.call} is taken.")
        until_us = view.now_us + lease_us
        leased = row._replace(
            worker=worker, lease_until_us=until_us, fencing=row.fencing + 1, attempts=row.attempts + 1
        )
        started = (CallStarted(view.now_us, row.call, worker),) if row.fencing == 0 else ()
        names = ("call", "fencing", "attempts", "lease_until_us", "due_us", "requested_position")
        outcome = {name: getattr(leased, name) for name in names}
        return Decision(outcome=outcome, externals=(leased,), events=started)

    return _told(desk, await desk.submit(order, decide, instance=offered.instance))


def _told(desk: Desk, accepted: Accepted) -> dict[str, object]:
    """A call as the worker that has it is told of it."""
    assert accepted.instance is not None
    given = {name: value for name, value in accepted.outcome.items() if isinstance(value, int)}
    with desk.readers.snapshot() as view:
        requested = view.event(given["requested_position"])
    payload = requested.payload if requested is not None else None
    return {
        "token": f"{accepted.instance.name}:{given['call']}:{given['fencing']}",
        "instance": accepted.instance.name,
        "call": given["call"],
        "input": json.loads(payload or b"null"),
        "lease_until": moment(given["lease_until_us"]).isoformat(),
        "attempt": given["attempts"],
        "due": moment(given["due_us"]).isoformat() if "due_us" in given else None,
    }


async def _beat(desk: Desk, order: Order, held: _Held, command: HeartbeatExternal) -> dict[str, object]:
    def decide(view: View) -> Decision:
        row = held.row(view)
        operation = _external_of(desk.registry, row)
        lease_us = operation.lease.length_us if command.lease is None else _length(command.lease)
        until_us = max(row.lease_until_us, view.now_us + lease_us)
        outcome = {"lease_until": moment(until_us).isoformat()}
        return Decision(outcome=outcome, externals=(row._replace(lease_until_us=until_us),))

    # A sign of life is no fact that anybody asks for later: it leaves no row.
    request = Request("HeartbeatExternal", order.actor, decide, instance=held.instance.id, recorded=False)
    accepted = await desk.engine.submit(request)
    return {"lease_until": accepted.outcome["lease_until"]}


def _completion(registry: Registry, held: _Held, command: CompleteExternal) -> Callable[[View], Decision]:
    def decide(view: View) -> Decision:
        row = held.row(view)
        operation = _external_of(registry, row)
        try:
            result = parsed(operation.result, command.result, whole="result", subject=operation.id)
            value = operation.result.encode(result)
        except AuthorError as error:
            raise ResultNotTaken(
                f"{error.message} The lease stays.", subject=operation.id, remedy=error.remedy
            ) from error
        return Decision(outcome={"ended": True}, events=(CallCompleted(view.now_us, row.call, value, row.worker),))

    return decide


def _failing(registry: Registry, held: _Held, command: FailExternal) -> Callable[[View], Decision]:
    def decide(view: View) -> Decision:
        row = held.row(view)
        operation = _external_of(registry, row)
        if command.declared is not None:
            failure = _declared(operation, command.declared, command.error, row.attempts)
            return Decision(outcome={"ended": True}, events=(CallFailed(view.now_us, row.call, failure, row.worker),))
        text = clean_text(command.error)
        kept = json.dumps({"type": row.worker, "message": text, "at_us": view.now_us, "attempt": row.attempts})
        return Decision(
            outcome={"ended": False},
            externals=(row._replace(lease_until_us=0, fencing=row.fencing + 1, last_error=kept),),
        )

    return decide


def _declared(operation: AnyExternal, name: str, message: str, attempts: int) -> Failure:
    """An error that the operation declares, by the name of its class."""
    known = {cls.__name__: codec for cls, codec in operation.errors.codecs.items()}
    if name not in known:
        raise InvalidValue(
            f"{operation.id} declares no error {name!r}.",
            problems={"declared": f"is none of {', '.join(sorted(known)) or 'none'}"},
            subject=operation.id,
            remedy="Name one of raises=[…]; or leave it out, and the call is handed out again.",
        )
    codec = known[name]
    try:
        return codec.failure_of(codec.error(message), attempts=attempts)
    except TypeError:
        raise InvalidValue(
            f"{name} cannot be made of a text alone.",
            problems={"declared": "has other fields than one text"},
            subject=operation.id,
            remedy="Give the operation an error that has only a text.",
        ) from None


def _external_of(registry: Registry, row: ExternalCallRow) -> AnyExternal:
    found = registry.find_external(row.operation)
    if found is None:
        raise NoSuchExternal(
            f"The operation {row.operation!r} is not in the application any more.",
            subject=row.operation,
            remedy='Bring it back, or name its old name with was=("…",) on the operation that took its place.',
        )
    return found


def _length(written: str) -> int:
    return length_of(
        written,
        "lease",
        nothing="The lease would be over at once.",
        remedy='Take one that is long enough: --lease "10 minutes".',
    )
