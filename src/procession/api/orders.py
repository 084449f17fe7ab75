"""Giving an order to whoever can carry it out: the engine that runs, else an engine of its own for this one order."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from procession.api.local_client import ConnectionLost, NobodyListens, send
from procession.errors import ProcessionError, StoreLocked
from procession.services.application import Application
from procession.services.commands import Order, runs_no_code
from procession.store.lock import find_holder

WAIT_SECONDS = 5.0
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Given:
    """The answer, and whether an engine that runs gave it: without one, services and timers wait."""

    answer: dict[str, Any]
    engine_runs: bool


def give(application: Application, order: Order) -> Given:
    """Have the order carried out. Raises its refusal; `StoreLocked` where an engine neither listens nor goes away.

    An order whose engine went away before it answered is given again under its client identifier: what was accepted
    is not done twice, and its answer is the same.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        path = _socket_of_engine(application)
        if path is not None:
            try:
                return Given(send(path, order), engine_runs=True)
            except NobodyListens as gone:
                if time.monotonic() > deadline:
                    raise _unreachable(application, str(gone)) from gone
            except ConnectionLost as lost:
                if time.monotonic() > deadline:
                    raise _unanswered(application, str(lost)) from lost
        try:
            return Given(asyncio.run(_by_own_engine(application, order)), engine_runs=False)
        except StoreLocked:
            # Another command, or an engine that is starting and will listen in a moment.
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def _socket_of_engine(application: Application) -> Path | None:
    holder = find_holder(application.store)
    return Path(holder.socket) if holder is not None and holder.socket else None


async def _by_own_engine(application: Application, order: Order) -> dict[str, Any]:
    from procession.services.hosting import Hosting, open_host

    hosting = Hosting(runs_services=False, runs_timers=False, runs_no_code=runs_no_code(order.command))
    async with open_host(application, hosting) as host:
        return await host.office.perform(order)


def _unreachable(application: Application, why: str) -> StoreLocked:
    return StoreLocked(
        f"An engine has {application.store} open and does not answer ({why}).",
        subject=str(application.store),
        remedy="Look at the terminal or the service that runs `procession serve`; it may be starting or ending. Then try again.",
    )


def _unanswered(application: Application, why: str) -> StoreLocked:
    """It may have been carried out: whoever gives it again as a new order may have it done twice."""
    return StoreLocked(
        f"The engine of {application.store} took the command and has not answered ({why}): it may have carried it out, or still do so.",
        subject=str(application.store),
        remedy="Look with `procession list` and `procession show` what came of it before you give it again.",
    )


Answered = Callable[[Order, "dict[str, Any] | ProcessionError"], None]
"""Is told what came of an order: its answer, or its refusal."""


def give_many(application: Application, orders: Iterable[Order], answered: Answered) -> None:
    """Have many orders carried out, one after the other; `answered` is told of each.

    Without an engine that runs, one of its own does all of them.
    """
    if _socket_of_engine(application) is not None:
        for order in orders:
            try:
                answer = give(application, order).answer
            except ProcessionError as refusal:
                answered(order, refusal)
            else:
                answered(order, answer)
    else:
        asyncio.run(_many_by_own_engine(application, orders, answered))


async def _many_by_own_engine(application: Application, orders: Iterable[Order], answered: Answered) -> None:
    from procession.services.hosting import Hosting, open_host

    orders = iter(orders)
    if (first := next(orders, None)) is None:
        return
    no_code = runs_no_code(first.command)  # they are all alike
    hosting = Hosting(runs_services=False, runs_timers=False, runs_no_code=no_code, wait_seconds=WAIT_SECONDS)
    async with open_host(application, hosting) as host:
        for order in chain((first,), orders):
            try:
                answer = await host.perform(order)
            except ProcessionError as refusal:
                answered(order, refusal)
            else:
                answered(order, answer)
