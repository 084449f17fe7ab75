"""Coroutine tests, and the engine they are run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.fixtures import run_coroutine_test
from tests.conformance.world import Host
from tests.engine.subject import Tunable


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Makes worlds on an engine whose every option is open."""
    return Host(Tunable(), tmp_path)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    return run_coroutine_test(pyfuncitem)
