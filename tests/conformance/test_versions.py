"""A source that changes under running instances: laws 17, 18 and 39."""

from __future__ import annotations

import pytest

from procession.services.commands import CompleteItem
from procession.services.worklist import OperationIsGone
from tests.conformance.world import Host, World, halts, module_from

SOURCE = """
import asyncio
from dataclasses import dataclass
from procession import Function, process

team = Function("Team", owner="ann@acme.example")

@dataclass(frozen=True)
class Order:
    number: int
    wishes: frozenset[str] = frozenset()

@team.task()
async def check(order: Order) -> bool: ...

@team.task()
async def pack(order: Order) -> str: ...

@process(owner=team, key="{number}")
async def selling(number: int) -> str:
    order = Order(number, frozenset({"red", "blue", "green"}))
    if await check(order):
        return await pack(order)
    return "no"
"""


async def sold(host: Host) -> tuple[World, str]:
    """An instance that waits for a person, started on the source above."""
    world = await host.open(source=module_from(host.folder / "conformance_shop.py", SOURCE))
    return world, await world.start("selling", number=7)


async def released(world: World, host: Host, *changes: tuple[str, str]) -> None:
    """The engine again, on a source with these changes."""
    text = SOURCE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    await world.restart(source=module_from(host.folder / "conformance_shop.py", text))


async def done(world: World, name: str) -> object:
    await world.complete(name, True)
    await world.complete(name, "packed")
    return world.result(name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    if await check(order):", "    # a comment\n\n    if await check(order):"),
        (
            "    wishes: frozenset[str] = frozenset()",
            "    wishes: frozenset[str] = frozenset()\n    express: bool = False",
        ),
        ("    number: int\n    wishes", "    number: int\n    wishes"),
        ('{"red", "blue", "green"}', '{"green", "red", "blue"}'),
        ("@team.task()\nasync def check", '@team.task(title="Look at the order")\nasync def check'),
        ("async def selling(number: int)", "async def selling(number: int, express: bool = False)"),
        (
            "    if await check(order):\n        return await pack(order)",
            "    if await approved(order):\n        return await pack(order)",
        ),
    ],
)
async def test_a_change_that_asks_for_the_same_moves_no_instance(host: Host, old: str, new: str) -> None:
    world, name = await sold(host)
    through_a_coroutine = (
        "@process",
        "async def approved(order: Order) -> bool:\n    return await check(order)\n\n@process",
    )
    await released(world, host, (old, new), *([through_a_coroutine] if "approved" in new else []))

    assert await done(world, name) == "packed"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('frozenset({"red", "blue", "green"})', 'frozenset({"red"})', "now has another input"),
        ("if await check(order):", 'if await pack(order) == "x":', "'Team.pack' as call 1"),
        ("    if await check(order):", "    await asyncio.sleep(1)\n    if await check(order):", "timer"),
        ("    if await check(order):\n        return await pack(order)\n", "", "the completion of the instance"),
        (
            "    wishes: frozenset[str] = frozenset()",
            "    wishes: frozenset[str] = frozenset()\n    express: bool = True",
            None,
        ),
    ],
)
async def test_a_change_that_asks_for_something_else_halts_at_the_next_event_with_both_told(
    host: Host, old: str, new: str, said: str | None
) -> None:
    world, name = await sold(host)
    await released(world, host, (old, new))
    item = world.item(name)

    if said is None:  # a new default is a value like any other: what was recorded is read with it
        assert await done(world, name) == "packed"
        return
    answer = await world.complete(name, True)

    assert answer["state"] == "completed" and said in answer["halted"]
    assert world.find_item(item.id).state == "completed"
    [halt] = halts(world.history(name))
    assert halt.code == "divergence"
    await released(world, host)
    await world.retry(name)
    await world.complete(name, "packed")
    assert world.result(name) == "packed"


async def test_sets_are_recorded_in_one_order_and_compared_so(host: Host) -> None:
    world, name = await sold(host)
    with world.view() as view:
        event = view.event(world.item(name).requested_position)
    assert event is not None
    assert event.payload == b'{"order":{"number":7,"wishes":["blue","green","red"]}}'


async def test_the_site_of_a_call_is_stored_for_each_release_and_never_compared(host: Host) -> None:
    world, name = await sold(host)
    await released(world, host, ("    if await check(order):", "\n\n    if await check(order):"))
    await world.complete(name, True)

    with world.view() as view:
        sites = [view.site(getattr(event, "site", 0)) for event in world.history(name) if hasattr(event, "site")]
    assert [site is not None for site in sites] == [True, True]
    first, second = [site for site in sites if site is not None]
    assert first.release != second.release
    assert "selling" in first.frames


# Names that change


async def test_an_operation_with_a_new_name_that_names_the_old_one_moves_no_instance(host: Host) -> None:
    world, name = await sold(host)
    await released(
        world,
        host,
        ("@team.task()\nasync def check", '@team.task(was=("check",))\nasync def look_at'),
        ("await check(order)", "await look_at(order)"),
    )

    assert await done(world, name) == "packed"


async def test_a_function_with_a_new_name_that_names_the_old_one_moves_no_instance(host: Host) -> None:
    world, name = await sold(host)
    await released(world, host, ('Function("Team",', 'Function("Shop", was=("Team",),'))

    # What was offered to the role of the old name is offered to those who hold the role of the new one.
    await world.complete(name, True, "sue")
    assert world.state(name) == "running"
    assert world.item(name).operation == "Shop.pack"


async def test_a_process_with_a_new_name_that_names_the_old_one_moves_no_instance(host: Host) -> None:
    world, name = await sold(host)
    await released(
        world,
        host,
        (
            '@process(owner=team, key="{number}")\nasync def selling',
            '@process(owner=team, key="{number}", was=("selling",))\nasync def sales',
        ),
    )

    again = await world.start("sales", number=7)
    assert again == name  # the business key is one, whatever the process was called when it began
    assert await done(world, name) == "packed"
    assert (await world.start("sales", number=7)).startswith("sales-")


async def test_a_call_in_attention_whose_operation_has_a_new_name_is_retried_under_it(host: Host) -> None:
    text = SOURCE.replace(
        "@team.task()\nasync def check(order: Order) -> bool: ...",
        "@team.service(attempts=1)\nasync def check(order: Order) -> bool:\n    raise OSError",
    )
    world = await host.open(source=module_from(host.folder / "conformance_shop.py", text))
    name = await world.start("selling", number=7)
    await world.until(lambda: world.attention(name))
    mended = (
        text.replace("attempts=1)\nasync def check", 'was=("check",))\nasync def look_at')
        .replace("raise OSError", "return False")
        .replace("await check", "await look_at")
    )
    await world.restart(source=module_from(host.folder / "conformance_shop.py", mended))
    from procession.services.commands import RetryCall

    await world.give(RetryCall(name, 1))
    await world.until_ended(name)
    assert world.result(name) == "no"


async def test_a_moved_file_moves_no_instance(host: Host) -> None:
    world, name = await sold(host)
    await world.restart(source=module_from(host.folder / "conformance_another.py", SOURCE))

    assert await done(world, name) == "packed"


# Names that are gone


async def test_open_items_of_an_operation_that_is_gone_refuse_with_the_remedy_and_the_instance_halts_later(
    host: Host,
) -> None:
    both = SOURCE.replace(
        "    if await check(order):", "    asyncio.create_task(pack(order))\n    if await check(order):"
    )
    world = await host.open(source=module_from(host.folder / "conformance_shop.py", both))
    name = await world.start("selling", number=7)
    gone = both.replace(
        "@team.task()\nasync def check(order: Order) -> bool: ...\n",
        "async def check(order: Order) -> bool:\n    return True\n",
    )
    await world.restart(source=module_from(host.folder / "conformance_shop.py", gone))
    item = world.item(name, "check").id

    with pytest.raises(OperationIsGone, match=r"was=\("):
        await world.give(CompleteItem(item, "true"))
    assert world.state(name) == "running"

    await world.complete(name, "packed", of="pack")
    assert world.halt(name)["code"] == "divergence"
    await world.restart(source=module_from(host.folder / "conformance_shop.py", both))
    await world.retry(name)
    await world.complete(name, True, of="check")
    await world.complete(name, "packed", of="pack")
    assert world.result(name) == "packed"


async def test_an_instance_whose_process_is_gone_halts_at_its_next_event_and_says_what_to_do(host: Host) -> None:
    world, name = await sold(host)
    await released(
        world,
        host,
        (
            '@process(owner=team, key="{number}")\nasync def selling',
            '@process(owner=team, key="{number}")\nasync def sales',
        ),
    )

    answer = await world.complete(name, True)

    assert answer["instance_state"] == "halted" and "was=" in answer["halted"]
    assert world.halt(name)["code"] == "process-gone"
    await released(world, host)
    await world.retry(name)
    await world.complete(name, "packed")
    assert world.result(name) == "packed"


async def test_an_operation_that_is_not_among_the_applications_halts_whoever_asks_for_it(host: Host) -> None:
    world = await host.open(source=module_from(host.folder / "conformance_shop.py", SOURCE))
    stranger = module_from(
        host.folder / "conformance_other.py", SOURCE.replace('Function("Team"', 'Function("Strangers"')
    )
    text = SOURCE.replace("await check(order)", "await OTHER.check(OTHER.Order(1))")
    module = module_from(host.folder / "conformance_shop.py", text)
    module.__dict__["OTHER"] = stranger
    await world.restart(source=module)

    name = await world.start("selling", number=1)

    assert world.halt(name)["code"] == "operation-gone"
    assert "Strangers.check" in world.halt(name)["message"]


async def test_services_of_an_operation_that_is_gone_need_attention(host: Host) -> None:
    text = SOURCE.replace(
        "@team.task()\nasync def check(order: Order) -> bool: ...",
        "@team.service()\nasync def check(order: Order) -> bool:\n    raise OSError",
    )
    world = await host.open(source=module_from(host.folder / "conformance_shop.py", text))
    name = await world.start("selling", number=7)
    await world.until(lambda: [call.state for call in world.waits(name).service_calls] == ["due"])
    gone = text.replace("@team.service()\n", "")
    await world.restart(source=module_from(host.folder / "conformance_shop.py", gone))
    await world.pass_time("1 hour")

    assert world.attention(name) == ["Team.check"]
    assert "OperationGone" in (world.waits(name).service_calls[0].last_error or "")
    await world.restart(source=module_from(host.folder / "conformance_shop.py", text))
