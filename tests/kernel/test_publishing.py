"""What a program publishes is a command like any other: recorded in its place, compared in replay, silent in a teardown."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from procession import kernel
from procession.kernel import Divergence, Instance, MessagePublished, PublishMessage
from procession.kernel.history import History
from tests.kernel.drive import SECOND, Driven, op, program


def publishing(message: str = "Paid", key: str = "17", value: bytes = b"1") -> Callable[[], Coroutine[Any, Any, str]]:
    async def main() -> str:
        await op("first")
        kernel.publish(message, key, value, expires_us=9 * SECOND)
        await op("second")
        return "done"

    return main


def published(main: Callable[[], Coroutine[Any, Any, str]]) -> Driven:
    case = Driven(main)
    case.complete("first")
    return case


def test_a_message_is_a_command_between_the_calls_around_it() -> None:
    case = published(publishing())
    first, second = case.outcome.commands
    assert first == PublishMessage("Paid", "17", b"1", 9 * SECOND)
    assert isinstance(second, kernel.RequestCall)
    assert MessagePublished(case.now_us, "Paid", "17", b"1", 9 * SECOND) in case.history


@pytest.mark.parametrize("changed", [{"message": "Sent"}, {"key": "18"}, {"value": b"2"}], ids=str)
def test_another_message_in_its_place_is_a_divergence(changed: dict[str, Any]) -> None:
    case = published(publishing())
    with pytest.raises(Divergence, match="the message Paid with key '17'"):
        case.replayed(publishing(**changed))


def test_a_message_that_is_published_no_more_is_a_divergence() -> None:
    async def silent() -> str:
        await op("first")
        await op("second")
        return "done"

    with pytest.raises(Divergence, match="the message Paid"):
        published(publishing()).replayed(silent)


def test_a_value_in_other_bytes_that_the_host_calls_the_same_is_no_divergence() -> None:
    case = published(publishing(value=b"1"))
    lenient = replace(program(publishing(value=b"1.0")), same_message=lambda recorded, made: recorded.value == b"1")
    again = Instance(lenient, seed=b"seed")
    again.replay(case.history)
    assert again.next_call == case.instance.next_call
    again.close()


def test_what_a_clean_up_publishes_while_it_is_taken_out_of_memory_is_silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    asked: list[kernel.Command] = []

    async def main() -> str:
        try:
            await op("first")
        finally:
            kernel.publish("Gone", "1", b"", expires_us=SECOND)
            said.append("published")
        return "done"

    case = Driven(main, replays=False)
    monkeypatch.setattr(History, "ask", lambda history, command: asked.append(command))
    case.instance.close()
    assert said == ["published"]
    assert asked == []
