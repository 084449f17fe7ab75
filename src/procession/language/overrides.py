"""What a call asks for otherwise than its operation declares: who may do it, and when it should be done."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from procession import kernel
from procession.calendars.durations import Duration
from procession.errors import AuthorError, NotDeclarable
from procession.language.declarations import duration_at, place_of_caller
from procession.language.selection import Role, Selection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What `operation.options(…)` was given."""

    by: Selection | None = None
    due: Duration | datetime | None = None

    def with_these(self, by: object, due: str | timedelta | datetime | None, priority: object) -> "Overrides":
        """These and what was said before. Raises `NotDeclarable`, with file and line, for what cannot be."""
        changed = self
        if priority is not None:
            raise _fault(
                f"priority={priority!r}: there are no priorities yet.", "Leave it out; due=… says what is urgent."
            )
        if by is not None:
            if not isinstance(by, Role):
                raise _fault(f"by={by!r} says of nobody that they may do it.", f"Write by=role({str(by)!r}).")
            changed = replace(changed, by=by)
        if isinstance(due, datetime):
            if due.tzinfo is None:
                raise _fault(
                    f"due={due.isoformat()}: a moment without a time zone: nobody can say when that is.",
                    "Give it one: datetime(…, tzinfo=ZoneInfo(…)).",
                )
            changed = replace(changed, due=due)
        elif due is not None:
            changed = replace(changed, due=duration_at(place_of_caller(), "due", due, _calendar_time))
        return changed

    def due_us(self) -> int | None:
        """When a call that is made now should be done, if anything was said."""
        if isinstance(self.due, datetime):
            return (self.due - _EPOCH) // _MICROSECOND
        return None if self.due is None else self.due.after(kernel.now_us())

    def of_later(self, undone: kernel.Compensation) -> kernel.Compensation:
        """The same of something that is asked for later, and due from then on."""
        if isinstance(self.due, Duration):
            return replace(undone, within_us=self.due.length_us)
        return replace(undone, due_us=self.due_us())


def checked_rule(rule: Any, parameters: tuple[str, ...], name: str) -> None:
    """Raises `NotDeclarable` for what cannot compute who may do an operation with these parameters."""
    where = place_of_caller()
    if not inspect.isfunction(rule) or inspect.iscoroutinefunction(rule):
        raise NotDeclarable(
            f"{where}: the rule of {name} is not a plain function.",
            subject=where,
            remedy="Write `def`: it looks at the inputs and waits for nothing.",
        )
    taken = tuple(inspect.signature(rule).parameters)
    if taken != parameters:
        raise NotDeclarable(
            f"{where}: the rule of {name} takes ({', '.join(taken)}), and {name} is asked with ({', '.join(parameters)}).",
            subject=where,
            remedy="Give it the same parameters, in the same order.",
        )


def chosen_by(rule: Callable[..., Selection], name: str, call: tuple[list[Any], Mapping[str, Any]]) -> Selection:
    """Whom the rule of an operation gives for these inputs. Raises `AuthorError` for anything but a selection."""
    positional, by_name = call
    chosen: object = rule(*positional, **by_name)
    if not isinstance(chosen, Role):
        raise AuthorError(
            f"The rule that says who may do {name} gives {chosen!r}.",
            subject=name,
            remedy=f"Return a selection, such as role({str(chosen)!r}).",
        )
    return chosen


def _calendar_time(written: str | timedelta) -> Duration:
    return Duration.parse(written).require_calendar_time()


def _fault(wrong: str, remedy: str) -> NotDeclarable:
    where = place_of_caller()
    return NotDeclarable(f"{where}: {wrong}", subject=where, remedy=remedy)
