"""Law 23: the time of a request, whatever the wall clock does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.engine.clock import HOUR_US, ClockNotTrusted, IntakeClock, SystemClock, VirtualClock

START_US = 1_772_355_600_000_000


class SetClock:
    """A machine whose wall clock can be set, beside a steady one."""

    def __init__(self, wall_us: int = START_US, steady_us: int = 17) -> None:
        self.wall, self.steady = wall_us, steady_us

    def wall_us(self) -> int:
        return self.wall

    def monotonic_us(self) -> int:
        return self.steady

    def pass_time(self, length_us: int) -> None:
        self.wall += length_us
        self.steady += length_us


# How much time passes, and by how much the wall clock is set meanwhile.
steps = st.lists(st.tuples(st.integers(0, HOUR_US), st.integers(-HOUR_US // 2, HOUR_US // 2)), max_size=30)


@given(steps)
@settings(max_examples=100)
def test_time_never_runs_backwards_nor_slower_than_the_steady_clock_nor_behind_the_wall(
    happens: list[tuple[int, int]],
) -> None:
    machine = SetClock()
    intake = IntakeClock(machine, last_intake_us=START_US - 5)
    before_us, before_steady = intake.now_us(), machine.steady
    for passes, is_set in happens:
        machine.pass_time(passes)
        machine.wall += is_set
        try:
            now_us = intake.now_us()
        except ClockNotTrusted:
            machine.wall = START_US + machine.steady - 17  # set right by hand
            intake.accept()
            now_us = intake.now_us()
        assert now_us - before_us >= machine.steady - before_steady >= 0
        assert now_us >= machine.wall
        before_us, before_steady = now_us, machine.steady


@given(st.integers(-400 * 24, 400 * 24).filter(lambda minutes: minutes != 0), st.integers(0, 10 * HOUR_US))
@settings(max_examples=100)
def test_a_wall_clock_is_distrusted_exactly_if_it_moves_by_more_than_an_hour_against_the_steady_one(
    minutes: int, passes: int
) -> None:
    machine = SetClock()
    intake = IntakeClock(machine, last_intake_us=0)
    machine.pass_time(passes)
    machine.wall += minutes * 60_000_000
    if abs(minutes) <= 60:
        assert intake.now_us() >= machine.wall and intake.distrust is None
    else:
        with pytest.raises(ClockNotTrusted, match=r"jumped by [+-]\d+\.\d hours\. Set the clock right, or accept"):
            intake.now_us()


def test_a_clock_that_was_distrusted_stays_so_until_it_is_accepted_even_if_it_jumps_back() -> None:
    machine = SetClock()
    intake = IntakeClock(machine, last_intake_us=0)
    machine.wall += 3 * HOUR_US
    with pytest.raises(ClockNotTrusted):
        intake.now_us()
    machine.wall -= 3 * HOUR_US
    with pytest.raises(ClockNotTrusted):
        intake.now_us()
    intake.accept()
    assert intake.now_us() == START_US


@pytest.mark.parametrize(("behind_us", "is_trusted"), [(HOUR_US, True), (HOUR_US + 1, False), (-50 * HOUR_US, True)])
def test_a_clock_behind_the_store_by_more_than_an_hour_is_not_trusted_at_opening(
    behind_us: int, is_trusted: bool
) -> None:
    intake = IntakeClock(SetClock(), last_intake_us=START_US + behind_us)
    assert (intake.distrust is None) is is_trusted
    if not is_trusted:
        assert "behind the last request in the store" in str(intake.distrust)


def test_a_clock_accepted_far_behind_the_store_gives_times_after_it_and_goes_on_from_there() -> None:
    machine = SetClock()
    intake = IntakeClock(machine, last_intake_us=START_US + 5 * HOUR_US)
    assert intake.accept() == 5 * HOUR_US
    machine.pass_time(7)
    assert intake.now_us() == START_US + 5 * HOUR_US + 7
    machine.pass_time(11)
    assert intake.now_us() == START_US + 5 * HOUR_US + 18


def test_a_year_that_passes_on_both_clocks_is_no_jump() -> None:
    machine = SetClock()
    intake = IntakeClock(machine, last_intake_us=0)
    machine.pass_time(365 * 24 * HOUR_US)
    assert intake.now_us() == START_US + 365 * 24 * HOUR_US


def test_the_machines_clocks_count_microseconds() -> None:
    clock = SystemClock()
    first, second = clock.monotonic_us(), clock.monotonic_us()
    assert first <= second
    assert 1_700_000_000_000_000 < clock.wall_us() < 10_000_000_000_000_000


def test_a_simulated_clock_goes_forward_only_and_is_never_distrusted() -> None:
    clock = VirtualClock(START_US)
    intake = IntakeClock(clock, last_intake_us=0)
    clock.advance_to(START_US - 1)
    assert intake.now_us() == START_US
    clock.advance_to(START_US + 1000 * HOUR_US)
    assert intake.now_us() == START_US + 1000 * HOUR_US
