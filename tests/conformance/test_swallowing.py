"""What must be seen even where code would swallow it: an attempt that cancels itself, a record that no longer fits its type."""

from __future__ import annotations

from tests.conformance.world import Host, module_from

SELF_CANCELLING = """
import asyncio
from procession import Function, process

team = Function("Team", owner="ann@acme.example")

@team.service(attempts=1)
async def give_up() -> int:
    asyncio.current_task().cancel()
    await asyncio.sleep(0)
    return 1

@process(owner=team)
async def trying() -> int:
    return await give_up()
"""

READING = """
from dataclasses import dataclass
from procession import Function, process

team = Function("Team", owner="ann@acme.example")

@dataclass(frozen=True)
class Count:
    x: int%s

@team.task()
async def count() -> Count: ...

@team.task()
async def check() -> int: ...

@process(owner=team)
async def counting() -> int:
    try:
        number = (await count()).x
    except Exception:
        number = -1
    return number + await check()
"""

LATE = """
from procession import Function, deadline, process

team = Function("Team", owner="ann@acme.example")

@team.task()
async def ask() -> int: ...

@process(owner=team)
async def hurried() -> int:
    async with deadline("1 day"):
        return await ask()
"""


async def test_an_attempt_that_cancels_its_own_task_needs_attention_like_any_other_that_broke(host: Host) -> None:
    world = await host.open(source=module_from(host.folder / "app.py", SELF_CANCELLING))
    name = await world.start("trying")

    await world.until_attention(name)

    assert "CancelledError" in str(world.waits(name).service_calls[0].last_error)


async def test_a_recorded_result_that_the_present_type_cannot_read_halts_even_where_errors_are_swallowed(
    host: Host,
) -> None:
    world = await host.open(source=module_from(host.folder / "app.py", READING % ""))
    name = await world.start("counting")
    await world.complete(name, {"x": 5}, of="count")
    item = world.item(name).id

    await world.restart(source=module_from(host.folder / "app.py", READING % "\n    y: int"))
    answer = await world.complete(name, 1, of="check")

    assert "does not fit its present type" in answer["halted"]
    assert world.state(name) == "halted"
    await world.restart(source=module_from(host.folder / "app.py", READING % "\n    y: int = 0"))
    await world.retry(name)
    assert world.result(name) == 6
    assert world.find_item(item).state == "completed"


async def test_a_deadline_that_nothing_catches_halts_with_what_to_do(host: Host) -> None:
    world = await host.open(source=module_from(host.folder / "app.py", LATE))
    name = await world.start("hurried")

    await world.pass_time("2 days")

    assert "Catch TimeoutError" in world.halt(name)["message"]
