"""The how-to "Remind, but keep waiting", with the two days that its page shortens to a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from procession.kernel import CallWithdrawn
from procession.services.commands import SaveDraft, StartItem
from tests.conformance.world import Host, World, module_from
from tests.pages import blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "remind.md"


async def asked(host: Host) -> tuple[World, str]:
    source = next(block.text for block in blocks(PAGE) if block.language == "python")
    for function, role in (("Support", "Team"), ("Experts", "Shop")):  # the roles that people have here
        source = source.replace(f'Function("{function}"', f'Function("{role}"')
    world = await host.open(source=module_from(host.folder / "app.py", source))
    return world, await world.start("help_out", question="Is it open?")


async def test_a_reminder_goes_to_whoever_began_and_the_work_stays_with_them(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    world, name = await asked(host)
    item = world.item(name).id
    await world.give(StartItem(item), "bob")
    await world.give(SaveDraft(item, '"It is'), "bob")
    await world.pass_time("2 days")
    await world.until(lambda: not world.waits(name).service_calls)
    await world.restart()

    assert "Dear bob: Is it open?" in capsys.readouterr().out
    kept = world.item(name)
    assert (kept.id, kept.holder, kept.draft) == (item, "bob", b'"It is')
    await world.complete(name, "It is.", "bob")
    assert world.result(name) == "It is."


async def test_after_the_reminder_too_it_is_taken_back_with_the_reason_and_another_is_asked(host: Host) -> None:
    world, name = await asked(host)
    first = world.item(name).id
    await world.pass_time("2 days")
    await world.until(lambda: not world.waits(name).service_calls)
    await world.pass_time("2 days")

    assert world.find_item(first).state == "withdrawn"
    withdrawn = [event for event in world.history(name) if isinstance(event, CallWithdrawn) and event.call == 1]
    assert [(event.reason, event.by_program) for event in withdrawn] == [("no answer after a reminder", True)]
    await world.complete(name, "It is.", "sue", of="look_into")
    assert world.result(name) == "It is."
