"""The time at which a request is taken in.

A request gets its time at intake: the larger of the wall clock and the last intake plus the monotonic time that has
passed. So time never runs backwards, and a wall clock that is set back does not hold anything up. A wall clock that is
far away from the monotonic one is not trusted until a person says so.
"""

import time
from typing import Protocol

from procession.errors import OperatorError

HOUR_US = 3_600_000_000


class ClockNotTrusted(OperatorError):
    """The wall clock moved by more than an hour against the monotonic clock, or is behind the store: timers and requests wait."""

    code = "clock-not-trusted"


class Clock(Protocol):
    """Where an engine takes its time from: the machine, or a simulated world."""

    def wall_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds since any fixed moment; never runs backwards."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        # One that goes on while the machine sleeps: a laptop that wakes has not had its clock set.
        return time.clock_gettime_ns(_STEADY_CLOCK) // 1000


# Linux stops the plain monotonic clock in its sleep; elsewhere it goes on.
_STEADY_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class VirtualClock:
    """A clock that stands still until it is told to go on: months pass in milliseconds."""

    def __init__(self, start_us: int) -> None:
        self._now_us = start_us

    def wall_us(self) -> int:
        return self._now_us

    def monotonic_us(self) -> int:
        return self._now_us

    def advance_to(self, moment_us: int) -> None:
        """Go to that moment; an earlier one changes nothing."""
        self._now_us = max(self._now_us, moment_us)


class IntakeClock:
    """Gives each request its time, and refuses to while the wall clock cannot be trusted.

    `accepted_behind_us` is how far behind the last request a person has accepted the wall clock to be.
    """

    def __init__(self, clock: Clock, *, last_intake_us: int, accepted_behind_us: int = 0) -> None:
        self._clock = clock
        self._last_us = last_intake_us
        self._last_monotonic_us = clock.monotonic_us()
        self._offset_us = clock.wall_us() - self._last_monotonic_us
        self._distrust = distrust_at_opening(last_intake_us - clock.wall_us(), accepted_behind_us)

    @property
    def distrust(self) -> str | None:
        """Why the clock is not trusted; None while it is."""
        return self._distrust

    def now_us(self) -> int:
        """The time of a request taken in now. Raises `ClockNotTrusted`."""
        wall_us, monotonic_us = self._clock.wall_us(), self._clock.monotonic_us()
        drift_us = wall_us - monotonic_us - self._offset_us
        if self._distrust is None and abs(drift_us) > HOUR_US:
            self._distrust = f"The wall clock jumped by {drift_us / HOUR_US:+.1f} hours."
        if self._distrust is not None:
            raise ClockNotTrusted(
                self._distrust,
                remedy="Set the clock right, or accept it as it is with `procession doctor --accept-clock`.",
            )
        now_us = max(wall_us, self._last_us + monotonic_us - self._last_monotonic_us)
        self._last_us, self._last_monotonic_us = now_us, monotonic_us
        return now_us

    def accept(self) -> int:
        """Trust the wall clock as it is now; gives by how much it is behind the time that requests get."""
        wall_us, monotonic_us = self._clock.wall_us(), self._clock.monotonic_us()
        self._distrust = None
        self._offset_us = wall_us - monotonic_us
        return max(0, self._last_us + monotonic_us - self._last_monotonic_us - wall_us)


def distrust_at_opening(behind_us: int, accepted_behind_us: int) -> str | None:
    """Why a wall clock that is so far behind the last request in the store is not trusted; None where it is."""
    if behind_us - accepted_behind_us <= HOUR_US:
        return None
    return f"The wall clock is {behind_us / HOUR_US:.1f} hours behind the last request in the store."
