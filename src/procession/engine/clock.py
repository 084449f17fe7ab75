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
        return time.monotonic_ns() // 1000


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
    """Gives each request its time, and refuses to while the wall clock cannot be trusted."""

    def __init__(self, clock: Clock, *, last_intake_us: int) -> None:
        self._clock = clock
        self._last_us = last_intake_us
        self._last_monotonic_us = clock.monotonic_us()
        self._offset_us = clock.wall_us() - self._last_monotonic_us
        self._distrust: str | None = None
        behind_us = last_intake_us - clock.wall_us()
        if behind_us > HOUR_US:
            self._distrust = f"The wall clock is {behind_us / HOUR_US:.1f} hours behind the last request in the store."

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

    def accept(self) -> None:
        """Trust the wall clock as it is now."""
        self._distrust = None
        self._offset_us = self._clock.wall_us() - self._clock.monotonic_us()
