"""Fires the timers that are due, of an instance and of its ancestors, in their order.

So after downtime an overdue deadline and a late answer have one outcome, whichever of them is looked at first.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from procession.engine.advance import Advance
from procession.engine.halting import HaltRecord
from procession.engine.turn import Turn
from procession.kernel import InstanceState, TimerFired
from procession.store.instances import InstanceRow
from procession.store.timers import TimerRow

TIMER_ACTOR = "timer"
MOST_TIMERS_WITHOUT_TIME = 5_000

NO_PROGRESS = HaltRecord(
    "no-progress",
    f"The process asked for {MOST_TIMERS_WITHOUT_TIME:,} timers, one after the other, each for a moment that had passed. "
    "Look for a loop that waits for a moment which does not move on.",
    b"{}",
)


@dataclass(frozen=True, slots=True)
class DueTimers:
    """`fired` has applied what a timer made its instance do to others, before the next one fires."""

    advance: Advance
    fired: Callable[[Turn, int], None]

    def apply(self, turn: Turn, row: InstanceRow, by_us: int, now_us: int) -> None:
        """Fire those due by `by_us`, in the order (due, outermost instance first, call); `now_us` is the time of their events."""
        line = self._line(turn, row)
        if all(self.advance.live.waits_for_no_timer(each) for each in line):
            return
        rows, expected, fired_of = turn.batch.timers, -1, dict.fromkeys(line, 0)
        timers: deque[TimerRow] = deque()
        first_new: dict[int, int] = {}
        while True:
            if rows.changes != expected:  # more than the one that has just fired
                timers = self._read(turn, line)
                for each in timers:
                    if each.instance not in first_new:
                        first_new[each.instance] = 1 + max(t.call for t in timers if t.instance == each.instance)
            if not timers or timers[0].due_us > by_us:
                return
            timer, expected = timers.popleft(), rows.changes + 1
            owner = turn.batch.instances.get(timer.instance)
            fired_of[owner.id] += timer.call >= first_new[owner.id]  # those set before may be many
            if fired_of[owner.id] > MOST_TIMERS_WITHOUT_TIME and owner.state != InstanceState.HALTED:
                self.advance.stop(turn, owner, TimerFired(now_us, timer.call, timer.due_us), NO_PROGRESS)
                return
            self._fire(turn, owner, timer, now_us)

    def _line(self, turn: Turn, row: InstanceRow) -> list[int]:
        """The instance and its ancestors, the outermost first."""
        line = [row.id]
        while row.parent is not None:
            row = self.advance.live.row_of(turn.batch, row.parent)
            line.append(row.id)
        return line[::-1]

    def _read(self, turn: Turn, line: list[int]) -> deque[TimerRow]:
        rows = turn.batch.timers
        if len(line) == 1:
            return deque(rows.of_instance(line[0]))
        found = [(timer, place) for place, each in enumerate(line) for timer in rows.of_instance(each)]
        return deque(timer for timer, place in sorted(found, key=lambda pair: (pair[0].due_us, pair[1], pair[0].call)))

    def _fire(self, turn: Turn, row: InstanceRow, timer: TimerRow, now_us: int) -> None:
        event = TimerFired(max(now_us, row.now_us), timer.call, timer.due_us)
        made_before = turn.batch.deliveries.last
        # What is due at the same moment in the instances that it acts upon comes after it.
        self.advance.bring(turn.caused_by(TIMER_ACTOR, at_us=timer.due_us - 1), row, event)
        if turn.batch.deliveries.last > made_before:
            self.fired(turn, made_before)
