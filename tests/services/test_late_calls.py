"""What is seen of an instance that has withdrawn a call whose attempt still runs, and whose result it will undo."""

from __future__ import annotations

from pathlib import Path

from procession.services.commands import CancelInstance, StartInstance
from procession.services.reading import Reading
from procession.store import View
from tests.services.applications import give, make_office, until

BOOKING = """

@desk.service(attempts=1)
async def book(place: str) -> str:
    while not Path(place).exists():
        await asyncio.sleep(0.01)
    return place


@book.undo
@desk.service()
async def unbook(place: str) -> None:
    Path(place + ".unbooked").touch()


@process(owner=desk)
async def travel(place: str) -> str:
    return await book(place)
"""


async def test_what_may_still_come_is_shown_with_since_when_it_was_withdrawn(tmp_path: Path) -> None:
    office = make_office(tmp_path, lambda text: "from pathlib import Path\n" + text + BOOKING)
    place = tmp_path / "hotel"
    async with office.at_work(runs_services=True) as host:
        name = str((await give(host, StartInstance("travel", f'{{"place": "{place}"}}')))["instance"])

        def runs(view: View) -> bool:
            row = view.instances.find_named(name)
            return row is not None and [call.state for call in view.waits(row.id).service_calls] == ["running"]

        await until(host, runs)
        await give(host, CancelInstance(name))
        with Reading(office.application) as reading:
            shown = reading.instance(name)
            assert reading.service_waits(name) == (0, 0), "nobody waits for it"
        withdrawn = shown.instance.state, [(wait.operation, wait.state) for wait in shown.waits]
        assert withdrawn == ("cancelling", [("Desk.book", "withdrawn")])
        assert shown.waits[0].since >= shown.instance.started
        place.touch()
        await until(host, lambda view: view.instances.find_named(name).state == "cancelled")  # type: ignore[union-attr]
    assert place.with_name("hotel.unbooked").exists()
