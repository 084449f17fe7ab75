"""Giving an order: to the engine that runs, else by an engine of its own; once, whatever happens to the connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procession.api import orders
from procession.api.orders import give
from procession.errors import StoreLocked
from procession.services.commands import Order, StartInstance
from procession.services.reading import Reading, Wanted
from procession.store.lock import StoreLock
from tests.services.applications import Made, make_office

ORDER = Order(StartInstance("receive", '{"letter": "Dear Sir"}'), "ann", client_id="client-1")


@pytest.fixture
def office(tmp_path: Path) -> Made:
    return make_office(tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "WAIT_SECONDS", 0.0)


def test_without_an_engine_the_order_is_carried_out_here(office: Made) -> None:
    given = give(office.application, ORDER)
    assert given.answer["instance"] == "receive-1"
    assert not given.engine_runs


def test_an_order_that_is_given_again_is_done_once(office: Made) -> None:
    first, second = give(office.application, ORDER), give(office.application, ORDER)
    assert first.answer["instance"] == second.answer["instance"]
    with Reading(office.application) as reading:
        assert len(reading.instances(Wanted()).instances) == 1


@contextmanager
def taking_one_order(office: Made, path: Path, *, ends: bool = False) -> Iterator[None]:
    """An engine that greets, takes one order and does not answer; one that `ends` lets go of its store then."""
    held = StoreLock.acquire(office.application.store)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    held.announce(str(path))

    def take() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rwb") as lines:
            lines.readline()
            lines.write(b'{"protocol": 1}\n')
            lines.flush()
            lines.readline()
            if ends:
                held.release()
        if ends:
            listening.close()
            path.unlink()

    engine = threading.Thread(target=take)
    engine.start()
    try:
        yield
    finally:
        engine.join()
        if not ends:
            listening.close()
            held.release()


def test_an_engine_that_goes_away_before_it_answers_costs_nothing(office: Made, tmp_path: Path) -> None:
    """It takes the order and ends; the order is carried out by the next engine, under the same identifier."""
    with taking_one_order(office, tmp_path / "s", ends=True):
        given = give(office.application, ORDER)
    assert given.answer["instance"] == "receive-1"
    assert not given.engine_runs


@pytest.mark.usefixtures("impatient")
def test_an_engine_that_takes_an_order_and_does_not_answer_may_have_done_it(office: Made, tmp_path: Path) -> None:
    with (
        taking_one_order(office, tmp_path / "s"),
        pytest.raises(StoreLocked, match=r"may have carried it out.*before you give it again"),
    ):
        give(office.application, ORDER)


@pytest.mark.usefixtures("impatient")
def test_an_engine_that_neither_listens_nor_ends_is_named(office: Made) -> None:
    held = StoreLock.acquire(office.application.store)
    try:
        with pytest.raises(StoreLocked, match=f"process {held.holder.pid}"):
            give(office.application, ORDER)
    finally:
        held.release()
    assert not office.application.store.exists()


@pytest.mark.usefixtures("impatient")
def test_an_engine_whose_socket_is_gone_is_told_apart(office: Made, tmp_path: Path) -> None:
    held = StoreLock.acquire(office.application.store)
    held.announce(str(tmp_path / "gone"))
    try:
        with pytest.raises(StoreLocked):
            give(office.application, ORDER)
    finally:
        held.release()
