"""The purchase approval on DBOS, durable on SQLite: `python -m benchmarks.dbos_peer --callers 64 --instances 200`.

DBOS has no people: a task is a message that the workflow waits for (`recv`) and that the caller sends. The settings are the fairest
that its options allow: WAL, `synchronous=FULL` (both read back from the database), messages polled every 0.05 s instead of every
second, no telemetry, no admin server. The caller learns inside this process, at no cost, that a task waits, so that nothing but
DBOS's own work is counted. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import sqlalchemy
from dbos import DBOS, DBOSConfig, SetWorkflowID
from dbos._dbos import _get_dbos_instance

from benchmarks.measure import Rate, in_flight

POLL_SECONDS = 0.05
TASKS = ("approve", "sign")
RECEIVE_TIMEOUT_SECONDS = 60.0

waiting: dict[str, asyncio.Event] = {}


def durable(connection: object, _record: object) -> None:
    """Each connection that DBOS opens: WAL and fsync at every commit."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


@DBOS.step()
async def reserve_budget(request: dict[str, str]) -> dict[str, str]:
    """Service 1."""
    return {"reservation": "R-1", "amount": request["amount"]}


@DBOS.step()
async def check_supplier(request: dict[str, str]) -> dict[str, str]:
    """Service 2, in parallel with the next."""
    return {"supplier": request["supplier"], "rating": "A"}


@DBOS.step()
async def check_stock(request: dict[str, str]) -> dict[str, str]:
    """Service 3."""
    return {"item": request["item"], "available": "3"}


@DBOS.step()
async def place_order(request: dict[str, str], signature: dict[str, str]) -> dict[str, str]:
    """Service 4."""
    return {"number": "4711", "supplier": request["supplier"], "signed_by": signature["by"]}


async def task(instance: str, name: str) -> dict[str, str]:
    """What DBOS has for a person's work: a message under a topic."""
    waiting[f"{instance}/{name}"].set()
    answer: dict[str, str] | None = await DBOS.recv_async(name, RECEIVE_TIMEOUT_SECONDS)
    if answer is None:
        raise TimeoutError(f"no message for {name}")
    return answer


@DBOS.workflow()
async def purchase_approval(instance: str, request: dict[str, str]) -> dict[str, str]:
    """Six hand-offs: service, task, two services in parallel, task, service."""
    await reserve_budget(request)
    await task(instance, "approve")
    await asyncio.gather(check_supplier(request), check_stock(request))
    signature = await task(instance, "sign")
    return await place_order(request, signature)


async def run_one(number: int) -> None:
    """One caller's instance, from start to its result."""
    instance = f"purchase-{number}"
    for name in TASKS:
        waiting[f"{instance}/{name}"] = asyncio.Event()
    request = {"requester": "ann", "item": "laptop", "supplier": "Dell", "amount": "1200.00"}
    with SetWorkflowID(instance):
        handle = await DBOS.start_workflow_async(purchase_approval, instance, request)
    for name in TASKS:
        async with asyncio.timeout(RECEIVE_TIMEOUT_SECONDS):
            await waiting[f"{instance}/{name}"].wait()
        del waiting[f"{instance}/{name}"]
        await DBOS.send_async(instance, {"approved": "yes", "by": "bob"}, topic=name)
    result = await handle.get_result(polling_interval_sec=POLL_SECONDS)
    assert result["number"] == "4711"


def pragmas() -> dict[str, str]:
    """What DBOS's own connections really run with."""
    names = {"0": "OFF", "1": "NORMAL", "2": "FULL", "3": "EXTRA"}
    with _get_dbos_instance()._sys_db.engine.connect() as connection:
        journal = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())
        synchronous = str(connection.exec_driver_sql("PRAGMA synchronous").scalar())
    return {"journal_mode": journal, "synchronous": names[synchronous]}


async def measure(callers: int, instances: int, warm_up: int) -> tuple[Rate, dict[str, str]]:
    """A few instances first, then the counted ones."""
    await in_flight(callers, warm_up, lambda number: run_one(-1 - number))
    return await in_flight(callers, instances, run_one), pragmas()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=8)
    arguments = parser.parse_args()
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", durable)
    with tempfile.TemporaryDirectory(prefix="procession-bench-") as folder:
        config: DBOSConfig = {
            "name": "purchase",
            "system_database_url": f"sqlite:///{Path(folder) / 'dbos.sqlite'}",
            "notification_listener_polling_interval_sec": POLL_SECONDS,
            "run_admin_server": False,
            "enable_otlp": False,
            "log_level": "ERROR",
        }
        DBOS(config=config)
        DBOS.launch()
        try:
            rate, settings = asyncio.run(measure(arguments.callers, arguments.instances, arguments.warm_up))
        finally:
            DBOS.destroy()
    print(
        json.dumps(
            {
                "callers": arguments.callers,
                "instances": rate.instances,
                "seconds": round(rate.seconds, 3),
                "hand_offs_per_second": round(rate.hand_offs_per_second, 1),
                "cpu_us_per_hand_off": round(rate.cpu_us_per_hand_off, 1),
                "poll_seconds": POLL_SECONDS,
                "dbos": version("dbos"),
                **settings,
            }
        )
    )


if __name__ == "__main__":
    main()
