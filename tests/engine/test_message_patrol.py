"""Messages that nobody took in their time are removed, and the log says that there were some."""

from __future__ import annotations

import logging

import pytest

from procession.engine.message_patrol import MOST_AT_ONCE, MessagePatrol
from procession.services.commands import SendMessage
from tests.conformance.test_messages import ALL, kept
from tests.conformance.world import Host
from tests.engine.subject import Tuning

PAYMENT = '{"order": "1", "amount": 1}'


async def test_what_is_expired_is_removed_and_told_and_what_is_not_stays(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    world = await host.open(*ALL, settings=Tuning())
    for number in range(MOST_AT_ONCE + 1):
        await world.give(SendMessage("Payment", f"old {number}", PAYMENT, expires="1 day"))
    await world.give(SendMessage("Payment", "new", PAYMENT, expires="3 days"))
    world.skip("2 days")
    patrol = MessagePatrol(world.running.readers, world.running.submit, world.clock.wall_us)
    with caplog.at_level(logging.WARNING, "procession.engine"):
        assert await patrol.walk() == MOST_AT_ONCE + 1
    assert [row.key for row in kept(world)] == ["new"]
    assert "The message Payment with key old 7 from ann expired: nobody took it." in caplog.messages
    assert await patrol.walk() == 0
