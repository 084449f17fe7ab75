"""The plugin for pytest: the fixture `world`, and the business call stack in the report of a test that fails."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from procession.testing.worlds import World

_WORLD = pytest.StashKey["World"]()
_OPTIONS = {"start", "zone", "real_time"}
_MARKER = (
    'world(start="2026-03-02 09:00", zone="UTC", real_time=False): how the world of a test of processes begins, and '
    "whether its services may use the network and other programs."
)


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[World]":
    """People and processes on an engine of their own, in virtual time: see `procession.testing`."""
    from procession.testing.worlds import Setting, World

    marker = request.node.get_closest_marker("world")
    given = {} if marker is None else marker.kwargs
    if (marker is not None and marker.args) or given.keys() - _OPTIONS:
        raise pytest.UsageError(f"@pytest.mark.world takes {', '.join(sorted(_OPTIONS))}, each by its name.")
    made = World(tmp_path, Setting(**given))
    request.node.stash[_WORLD] = made
    try:
        yield made
    finally:
        del request.node.stash[_WORLD]
        made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    """Shows where every instance stands, below the failure of a test."""
    report = yield
    made = item.stash.get(_WORLD, None)
    if made is not None and report.when == "call" and report.failed:
        try:
            report.sections.append(("Business call stack", made.report()))
        except Exception as error:  # the failure of the test is what counts
            report.sections.append(("Business call stack", f"It cannot be told: {type(error).__name__}: {error}"))
    return report
