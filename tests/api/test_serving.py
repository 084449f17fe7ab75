"""An engine in service ends when it is asked to, and with an error when it cannot go on."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from procession.api.serving import Served, serve
from procession.engine.contract import EngineStopped
from procession.engine.embedded import EmbeddedEngine
from procession.store.lock import find_holder
from tests.services.applications import make_office


def served_until(path: Path, told: list[str], *, number: int | None) -> Served:
    def ready(socket: Path) -> None:
        told.append("ready")
        holder = find_holder(path)
        assert holder is not None
        assert holder.socket == str(socket)
        if number is not None:
            os.kill(os.getpid(), number)

    return Served(ready, lambda: told.append("ending"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(tmp_path: Path, number: int) -> None:
    application = make_office(tmp_path).application
    told: list[str] = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        asyncio.run(serve(application, served_until(application.store, told, number=number)))
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert told == ["ready", "ending"]
    assert find_holder(application.store) is None


@pytest.mark.filterwarnings("ignore")
def test_an_engine_that_breaks_down_ends_the_service_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: EmbeddedEngine) -> int | None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(EmbeddedEngine, "apply_due", broken)
    application = make_office(tmp_path).application
    told: list[str] = []
    with pytest.raises(EngineStopped, match="planted"):
        asyncio.run(serve(application, served_until(application.store, told, number=None)))
    assert told == ["ready", "ending"]
    assert find_holder(application.store) is None
