"""A client for programs that do the work of outside systems: fetch, heartbeat, complete, fail.

    worker = Worker("archive", name="scanner-1")
    for call in worker.fetch("scan", limit=5):
        worker.complete(call, scan(call.input["document"]))

It talks to the engine that runs, and works on the store itself where none does.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from procession.api.orders import give
from procession.services.application import open_application
from procession.services.commands import (
    Command,
    CompleteExternal,
    FailExternal,
    FetchExternal,
    HeartbeatExternal,
    Order,
)


@dataclass(frozen=True, slots=True)
class FetchedCall:
    """Work that this worker has until `lease_until`: its inputs by name, as JSON, and the token to hand it in with."""

    token: str
    instance: str
    call: int
    operation: str
    input: dict[str, object]
    lease_until: datetime
    attempt: int
    due: datetime | None


class Worker:
    """A program that does work of an application, in the folder given; `name` tells it from others.

    Every method may be called again after a lost answer: `fetch` under the same `request` gives the same calls, and a
    completion under the same token is answered as the first time.
    """

    def __init__(self, application: Path | str, *, name: str) -> None:
        self._application = open_application(Path(application))
        self.name = name

    def fetch(
        self, operation: str, *, limit: int = 1, lease: str | None = None, request: str | None = None
    ) -> list[FetchedCall]:
        """Take what waits, the oldest first; each call is this worker's for the length of the lease.

        `request` is an identifier of this fetch: with it, the same fetch can be made again after a lost answer.
        """
        answer = self._give(FetchExternal(operation, self.name, limit, lease), request)
        return [
            FetchedCall(
                token=call["token"],
                instance=call["instance"],
                call=call["call"],
                operation=answer["operation"],
                input=call["input"],
                lease_until=datetime.fromisoformat(call["lease_until"]),
                attempt=call["attempt"],
                due=datetime.fromisoformat(call["due"]) if call["due"] else None,
            )
            for call in answer["calls"]
        ]

    def heartbeat(self, call: FetchedCall | str, *, lease: str | None = None) -> datetime:
        """Renew the lease; gives until when it lasts. Raises an error of code `stale-lease` where it is over for good."""
        answer = self._give(HeartbeatExternal(_token(call), lease))
        return datetime.fromisoformat(answer["lease_until"])

    def complete(self, call: FetchedCall | str, result: object = None) -> None:
        """Hand in the result, as JSON has it: texts, numbers, lists, dicts."""
        self._give(CompleteExternal(_token(call), json.dumps(result, ensure_ascii=False)))

    def fail(self, call: FetchedCall | str, error: str, *, declared: str | None = None) -> None:
        """Give it back, to be handed out again; or end it with an error that the operation declares, by its name."""
        self._give(FailExternal(_token(call), error, declared))

    def _give(self, command: Command, client_id: str | None = None) -> dict[str, Any]:
        return give(self._application, Order(command, self.name, client_id=client_id or str(uuid4()))).answer


def _token(call: FetchedCall | str) -> str:
    return call if isinstance(call, str) else call.token
