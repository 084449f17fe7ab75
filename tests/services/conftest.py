"""Coroutine tests."""

from __future__ import annotations

import pytest

from tests.conformance.fixtures import run_coroutine_test


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    return run_coroutine_test(pyfuncitem)
