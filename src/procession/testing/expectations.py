"""What a test expects of a worklist, in the words of the business; a failure says what there really is."""

from collections.abc import Callable
from datetime import date, datetime

from procession.errors import AuthorError
from procession.store import WorkItemRow
from procession.testing.telling import Telling

Due = str | date | datetime
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class BadMoment(AuthorError):
    """In a test, time was to pass until a moment that there is not or that is past; or something was to be due on no day."""

    code = "bad-moment"


class Expectation:
    """What is expected of the open work items of somebody or something."""

    def __init__(self, name: str, rows: Callable[[], list[tuple[WorkItemRow, str]]], telling: Telling) -> None:
        self._name = name
        self._rows = rows
        self._telling = telling

    def has(self, count: int, *, due: Due | None = None) -> None:
        """That there are so many open items, or so many due then: "Friday", "2026-03-06", a date or a moment."""
        __tracebackhide__ = True
        if isinstance(due, str):
            _check_is_day(due)
        rows = self._rows()
        found = [(row, instance) for row, instance in rows if due is None or self._is_due(row, due)]
        if len(found) != count:
            listed = "".join(f"\n  {self._telling.item(row, instance)}" for row, instance in rows)
            when = "" if due is None else f", due on {due}"
            raise AssertionError(
                f"{self._name} has {_items(len(found))}{when}; expected {_items(count)}{when}. "
                f"Open now, {self._telling.now():%A %Y-%m-%d %H:%M}:{listed or ' nothing'}"
            )

    def has_nothing(self) -> None:
        """That there is no open item."""
        __tracebackhide__ = True
        self.has(0)

    def _is_due(self, row: WorkItemRow, due: Due) -> bool:
        if row.due_us is None:
            return False
        local = self._telling.local(row.due_us)
        if isinstance(due, datetime):
            return local == due
        if isinstance(due, date):
            return local.date() == due
        return due.casefold() in (f"{local:%A}".casefold(), local.date().isoformat())


def _check_is_day(due: str) -> None:
    if due.casefold() in WEEKDAYS:
        return
    try:
        is_day = date.fromisoformat(due).isoformat() == due
    except ValueError:
        is_day = False
    if not is_day:
        raise BadMoment(
            f"Nothing is due on {due!r}.",
            subject=due,
            remedy='Give a day of the week ("Friday"), a date ("2026-03-06" or a `date`), or a moment as a `datetime`.',
        )


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count or 'no'} items"
