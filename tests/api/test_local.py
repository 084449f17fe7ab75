"""The local socket: who may talk, what is answered, what a bad line does."""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from procession.api import local
from procession.api.local import LocalSocket
from procession.api.local_client import ConnectionLost, NobodyListens, send
from procession.api.protocol import PROTOCOL, RefusedByEngine, decode_line, encode_line, encode_order
from procession.services.commands import ClaimItem, Order
from procession.work.worklist import Held

ORDER = Order(ClaimItem(1), "ann", client_id="c-1")
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Office:
    """Answers with what it was asked; refuses item 2, breaks at item 3."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()

    async def perform(self, order: Order) -> Mapping[str, object]:
        self.orders.append(order)
        self.entered.set()
        assert isinstance(order.command, ClaimItem)
        if self.gate is not None:
            await self.gate.wait()
        if order.command.item == 2:
            raise Held("bob has it.", remedy="Ask bob.")
        if order.command.item == 3:
            raise ZeroDivisionError("oh")
        return {"item": order.command.item}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(os.path.relpath(tmp_path / "s"))


async def served(path: Path, office: Office, talk: Callable[[], Any]) -> Any:
    listening = LocalSocket(office, path)
    await listening.open()
    try:
        return await asyncio.to_thread(talk)
    finally:
        await listening.close()


async def conversation(path: Path, office: Office, *lines: bytes) -> list[dict[str, Any]]:
    """What comes back for these lines, until the other end closes or has answered each."""
    listening = LocalSocket(office, path)
    await listening.open()
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=2**24)
        answers = []
        for line in lines:
            try:
                writer.write(line)
                answer = await reader.readline()
            except ConnectionError:
                break
            if not answer:
                break
            answers.append(decode_line(answer))
        writer.close()
        return answers
    finally:
        await listening.close()


def test_a_command_is_carried_out_and_answered(path: Path) -> None:
    office = Office()
    assert asyncio.run(served(path, office, lambda: send(path, ORDER))) == {"item": 1}
    assert office.orders == [ORDER]


def test_a_refusal_reaches_the_client_as_it_was_raised(path: Path) -> None:
    with pytest.raises(RefusedByEngine, match="bob has it") as caught:
        asyncio.run(served(path, Office(), lambda: send(path, Order(ClaimItem(2), "ann"))))
    assert caught.value.code == "held"
    assert caught.value.remedy == "Ask bob."


def test_an_error_of_ours_is_answered_and_the_engine_goes_on(path: Path) -> None:
    hello = encode_line({"protocol": PROTOCOL})
    broken, whole = encode_order(Order(ClaimItem(3), "ann")), encode_order(ORDER)
    _, first, second = asyncio.run(conversation(path, Office(), hello, broken, whole))
    assert first["error"]["code"] == "internal"
    assert second == {"answer": {"item": 1}}


def test_a_bad_line_is_answered_with_an_error_and_the_next_one_is_carried_out(path: Path) -> None:
    hello = encode_line({"protocol": PROTOCOL})
    _, first, second = asyncio.run(conversation(path, Office(), hello, b"\x00\xff{]\n", encode_order(ORDER)))
    assert first["error"]["code"] == "bad-line"
    assert second == {"answer": {"item": 1}}


def test_a_line_without_an_end_is_refused_at_the_limit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LINE_LIMIT_BYTES", 1000)
    hello = encode_line({"protocol": PROTOCOL})
    office = Office()
    answers = asyncio.run(conversation(path, office, hello, b"x" * 5000 + b"\n", encode_order(ORDER)))
    assert answers[1]["error"]["code"] == "bad-line"
    assert len(answers) == 2, "the connection ends: what follows is the rest of that line"
    assert office.orders == []


def test_a_greeting_without_an_end_is_refused_at_the_limit_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LINE_LIMIT_BYTES", 1000)
    (answer,) = asyncio.run(conversation(path, Office(), b"x" * 5000 + b"\n"))
    assert answer["error"]["code"] == "bad-line"


def test_another_protocol_is_refused_by_name(path: Path) -> None:
    office = Office()
    answers = asyncio.run(conversation(path, office, encode_line({"protocol": 99}), encode_order(ORDER)))
    assert [answer["error"]["code"] for answer in answers] == ["other-protocol"]
    assert office.orders == []


def test_another_user_of_the_machine_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "peer_user", lambda connection: os.getuid() + 1)
    office = Office()
    with pytest.raises(RefusedByEngine, match="belongs to user"):
        asyncio.run(served(path, office, lambda: send(path, ORDER)))
    assert office.orders == []


def test_only_its_user_may_open_the_socket(path: Path) -> None:
    mode = asyncio.run(served(path, Office(), lambda: stat.S_IMODE(path.stat().st_mode)))
    assert mode == 0o600


def test_the_socket_of_a_crashed_engine_gives_way(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    assert asyncio.run(served(path, Office(), lambda: send(path, ORDER))) == {"item": 1}


def test_closing_answers_what_was_taken_in(path: Path) -> None:
    async def scenario() -> object:
        office = Office()
        office.gate = asyncio.Event()
        listening = LocalSocket(office, path)
        await listening.open()
        answer = asyncio.create_task(asyncio.to_thread(send, path, ORDER))
        await office.entered.wait()
        closing = asyncio.create_task(listening.close())
        office.gate.set()
        await closing
        return await answer

    assert asyncio.run(scenario()) == {"item": 1}
    assert not path.exists()


def test_closing_does_not_wait_for_a_client_that_says_nothing(path: Path) -> None:
    async def scenario() -> None:
        listening = LocalSocket(Office(), path)
        await listening.open()
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(encode_line({"protocol": PROTOCOL}))
        await reader.readline()
        await asyncio.wait_for(listening.close(), 10)
        writer.close()

    asyncio.run(scenario())


def test_without_an_engine_the_client_says_so(path: Path) -> None:
    with pytest.raises(NobodyListens):
        send(path, ORDER)


def test_an_engine_that_ends_before_it_answers_is_told_from_a_refusal(path: Path) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(encode_line({"protocol": PROTOCOL}))
        await reader.readline()
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_unix_server(mute, path=str(path)):
            with pytest.raises(ConnectionLost):
                await asyncio.to_thread(send, path, ORDER)

    asyncio.run(scenario())


def test_a_file_that_is_no_socket_is_not_talked_to(path: Path) -> None:
    path.write_text("not a socket")
    with pytest.raises(NobodyListens):
        send(path, ORDER)
