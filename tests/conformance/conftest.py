"""Coroutine tests, and the engines they are run on."""

from __future__ import annotations

import pytest

from tests.conformance.fixtures import host, in_step, run_coroutine_test

__all__ = ["host", "in_step"]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    return run_coroutine_test(pyfuncitem)
