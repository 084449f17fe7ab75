"""Fifth reference process: processes that call processes. What one instance does to another is applied step by step here.

A child that is waited for, one that is taken back by a deadline and cleans up, one that fails, one that is started on its own,
and a whole tree that is ended by force.
"""

from procession import Function, ProcessFailed, deadline, process
from procession.errors import OperationFailed
from tests.programme.crash.acts import act
from tests.programme.crash.world import passing

yard = Function("Registry", owner="rita@acme.example")


class NoRoom(ProcessFailed):
    pass


@yard.task()
async def lift(what: str) -> bool: ...


@yard.service(attempts=6, backoff="1 minute")
async def label(what: str) -> str:
    return act("label", what)


@process(owner=yard, title="{what}")
async def carry(what: str) -> str:
    passing()
    labelled = await label(what)
    try:
        if not await lift(what):
            raise NoRoom(what)
    finally:
        passing()
        await label(f"{what} put down")
    return labelled


@process(owner=yard)
async def note_down(house: str) -> None:
    passing()
    await label(f"notes on {house}")


@process(owner=yard)
async def clear(house: str) -> str:
    notes = await note_down.start(house)
    table = carry.request(f"table of {house}")
    try:
        async with deadline("2 days"):
            chair = await carry(f"chair of {house}")
    except TimeoutError:
        chair = "left behind"
    passing()
    try:
        carried = await table
    except OperationFailed as error:
        carried = f"{error.type_name.rpartition('.')[2]} {error.message}"
    passing()
    return f"{chair}, {carried}, {notes}"
