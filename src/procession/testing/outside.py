"""Outside programs in a test: where one is stubbed, it fetches whatever waits for it, and hands in what the stub gives."""

import json
from collections.abc import Callable
from typing import Any

from procession.errors import InternalError
from procession.language.failures import message_of
from procession.language.operations import Operation, P, R
from procession.services.commands import Command, CompleteExternal, FailExternal, FetchExternal, Order
from procession.services.office import Office
from procession.testing.stubs import Stub, StubHasNoAnswer, attempt_at

WORKER = "outside"
"""Who does what outside programs do, in a history."""


class OutsidePrograms:
    """The programs that tests put in the place of real ones. `tell` is given what must fail the test."""

    def __init__(self, tell: Callable[[Exception], None]) -> None:
        self._tell = tell
        self._stubs: list[tuple[Operation[..., Any], Stub[..., Any]]] = []

    def stub(self, operation: Operation[P, R]) -> Stub[P, R]:
        """Have a stub do this operation from now on."""
        stub = Stub(operation)
        self._stubs = [each for each in self._stubs if each[0] is not operation]
        self._stubs.append((operation, stub))
        return stub

    async def work_once(self, office: Office) -> bool:
        """Do one call that waits; whether there was one."""
        for operation, stub in self._stubs:
            with office.readers.snapshot() as view:
                waits = operation.id in view.open_operations()
            if waits and await self._fetch_and_do(office, operation, stub):
                return True
        return False

    async def _fetch_and_do(self, office: Office, operation: Operation[..., Any], stub: Stub[..., Any]) -> bool:
        fetched = await office.perform(Order(FetchExternal(operation.id, WORKER), WORKER))
        calls = fetched["calls"]
        if not isinstance(calls, list):
            raise InternalError(f"Fetching gave {calls!r}.")
        for call in calls:
            ended = await self._outcome(operation, stub, call["token"], call["input"])
            if ended is None:
                return False
            await office.perform(Order(ended, WORKER))
        return bool(calls)

    async def _outcome(
        self, operation: Operation[..., Any], stub: Stub[..., Any], token: str, given: dict[str, Any]
    ) -> Command | None:
        try:
            result = await attempt_at(stub, *operation.inputs.call(operation.inputs.parse(json.dumps(given).encode())))
            return CompleteExternal(token, operation.result.encode(result).decode())
        except StubHasNoAnswer as fault:
            self._tell(fault)
            return None
        except Exception as error:
            declared = next((cls.__name__ for cls in operation.errors.classes if isinstance(error, cls)), None)
            return FailExternal(token, message_of(error), declared)
