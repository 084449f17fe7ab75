"""How tests of engines are run: a coroutine test runs in a loop of its own, and every store it leaves must be sound."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.subject import SUBJECTS
from tests.conformance.world import Host

LONGEST_SECONDS = 60.0


@pytest.fixture(params=sorted(SUBJECTS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """Makes worlds on the engine under test."""
    return Host(SUBJECTS[request.param], tmp_path)


@pytest.fixture(params=[True, False], ids=["in the same transaction", "as due work"])
def in_step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether what one instance does to another, and a message, comes in the transaction that it is of, or each thing on its own."""
    if not request.param:
        monkeypatch.setattr("procession.engine.delivering.MOST_AT_ONCE", 0)
    return bool(request.param)


def run_coroutine_test(item: pytest.Function) -> bool | None:
    """Runs a test that is a coroutine; leaves others alone."""
    if not inspect.iscoroutinefunction(item.obj):
        return None
    names = item._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: item.funcargs[name] for name in names}

    async def run() -> None:
        hosts = [each for each in arguments.values() if isinstance(each, Host)]
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await item.obj(**arguments)
        finally:
            for each in hosts:
                await each.close()
        for each in hosts:
            each.check()

    asyncio.run(run())
    return True
