"""Who performs an operation is said outside the process: code for people, people for code, a stub for both."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from procession.errors import AuthorError, PerformerError, ProcessionError
from procession.kernel import CallRequested
from procession.services.application import Application, open_application
from procession.services.commands import (
    CompleteCall,
    CompleteExternal,
    CompleteItem,
    FetchExternal,
    RetryCall,
    StartInstance,
)
from procession.services.configuration import configuration_of
from procession.services.hosting import Host, Hosting, open_host
from procession.services.reloading import forget_modules, load
from procession.services.settings import BadSettings
from procession.store import InstanceFilter, View, open_readers
from procession.store.event_rows import decode_event
from procession.store.invariants import Evidence, check_invariants
from tests.services.applications import give, make_office, until

SHOP = '''\
import asyncio
from dataclasses import dataclass

from procession import Function, process
from procession.control import attempt

shop = Function("Shop", owner="ann@acme.example")
SEEN: list[int] = []


class Unknown(Exception):
    """Nobody knows this number."""


@dataclass(frozen=True)
class Opinion:
    approved: bool
    remarks: str = ""


@shop.task(raises=[Unknown])
async def judge(number: str, amount: int = 1) -> Opinion:
    """Is this in order?"""
    ...


@shop.service(attempts=1)
async def price(number: str) -> int:
    """What does it cost?"""
    return 100


@process(owner=shop, title="{number}")
async def order(number: str) -> str:
    call = judge.request(number, amount=2)
    await call.started()
    try:
        opinion = await call
    except Unknown:
        return "unknown"
    return f"{opinion.remarks} {await price(number)}"
'''
BOUND = """
from procession.control import resource, secret
from procession.deployment import bind, outside, people, stub

from .process import SEEN, Opinion, Unknown, attempt, judge, price, shop


async def by_rule(number: str, amount: int = 1) -> Opinion:
    SEEN.append(attempt().number)
    if len(SEEN) < 2:
        raise ConnectionError("down")
    if number == "13":
        raise Unknown("13")
    return Opinion(True, f"{amount} by rule")


"""


def make(folder: Path, binds: str | None) -> Application:
    made = make_office(folder)
    made.source.write_text(SHOP)
    application = made.application
    package = application.packages[0]
    (application.folder / "organisation.toml").write_text('[people.ann]\nroles = ["Shop", "Clerks"]\n')
    if binds is not None:
        (made.source.parent / "bound.py").write_text(BOUND + f"bindings = [{binds}]\n")
        file = application.folder / "procession.toml"
        file.write_text(file.read_text() + f'[deployment]\nbindings = "{package}.bound"\n')
    return open_application(application.folder)


def bind_again(application: Application, binds: str) -> None:
    """Another binding, as for another start of the engine."""
    file = application.folder / application.packages[0] / "bound.py"
    file.write_text(BOUND + f"bindings = [{binds}]\n")
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
    forget_modules(application)
    importlib.invalidate_caches()


async def start(host: Host, number: str) -> None:
    await give(host, StartInstance("order", json.dumps({"number": number})))


def ended(view: View) -> Any:
    (row, *_) = view.instances.list(InstanceFilter(), limit=1)
    if row.state == "running":
        return None
    return row.state, json.loads(decode_event(view.history(row.id)[-1]).value), [e.kind for e in view.history(row.id)]  # type: ignore[union-attr]


def open_item(view: View) -> Any:
    (row, *_) = view.instances.list(InstanceFilter(), limit=1)
    return next(iter(view.waits(row.id).items), None)


async def run(application: Application, *steps: Any, number: str = "7", starts: bool = True) -> Any:
    """Start one (if it `starts`), then wait for each step, which may be an answer to the open item."""
    found = None
    async with open_host(application, Hosting()) as host:
        if starts:
            await start(host, number)
        for step in steps:
            if callable(step):
                found = await until(host, step)
            else:
                item = await until(host, open_item)
                await give(host, CompleteItem(item.id, json.dumps(step)))
    assert check_invariants(application.store, Evidence()).problems == ()
    return found


async def test_a_task_is_done_by_the_code_that_it_is_bound_to_with_retries(tmp_path: Path) -> None:
    application = make(tmp_path, 'bind(judge, by_rule, backoff="0 seconds")')
    state, result, kinds = await run(application, ended)
    assert (state, result) == ("completed", "2 by rule 100")
    assert kinds.count("CallRequested") == 2
    assert kinds.count("CallStarted") == 1, "who waits for the start is told"


async def test_an_error_that_the_task_declares_is_an_answer_of_the_code_too(tmp_path: Path) -> None:
    application = make(tmp_path, 'bind(judge, by_rule, backoff="0 seconds")')
    assert (await run(application, ended, number="13"))[1] == "unknown"


async def test_a_service_is_done_by_the_people_that_it_is_bound_to(tmp_path: Path) -> None:
    application = make(tmp_path, 'bind(price, people("Clerks", due="2 days")), bind(judge, stub(Opinion(True, "yes")))')

    def item(view: View) -> Any:
        found = open_item(view)
        return found if found is not None and found.operation == "Shop.price" else None

    found = await run(application, item)
    assert (found.role, found.due_us - found.requested_us) == ("Clerks", 2 * 86_400_000_000)
    with pytest.raises(PerformerError):
        await run(application, "much", starts=False)
    assert (await run(application, 250, ended, starts=False))[1] == "yes 250"


async def test_an_outside_system_fetches_what_is_bound_to_it(tmp_path: Path) -> None:
    application = make(tmp_path, 'bind(price, outside(lease="5 minutes")), bind(judge, stub(Opinion(True, "yes")))')

    async with open_host(application, Hosting()) as host:
        await start(host, "7")
        await until(host, lambda view: view.waits(1).external_calls)
        (fetched,) = (await give(host, FetchExternal("Shop.price", "garage-1", 1, None)))["calls"]
        await give(host, CompleteExternal(fetched["token"], "300"))
        assert (await until(host, ended))[1] == "yes 300"
    assert asked_for(application) == ["Shop.judge task", "Shop.price service"]
    assert check_invariants(application.store, Evidence()).problems == ()


async def test_the_history_is_that_of_the_operation_whoever_performs_it(tmp_path: Path) -> None:
    """What was recorded under a binding replays without it, and the other way round."""
    application = make(tmp_path, "bind(price, people())")
    await run(application, {"approved": True, "remarks": "by ann"}, open_item)
    bind_again(application, 'bind(judge, by_rule, backoff="0 seconds")')
    assert asked_for(application) == ["Shop.judge task", "Shop.price service"]
    assert (await run(application, 70, ended, starts=False))[1] == "by ann 70", (
        "what was offered before stays with people"
    )


async def test_what_code_was_asked_for_stays_with_code_when_people_are_bound(tmp_path: Path) -> None:
    application = make(tmp_path, "bind(judge, by_rule, attempts=1)")

    def attention(view: View) -> Any:
        (row, *_) = view.instances.list(InstanceFilter(), limit=1)
        return [call for call in view.waits(row.id).service_calls if call.state == "attention"]

    await run(application, attention)
    bind_again(application, "bind(price, people())")

    async with open_host(application, Hosting()) as host:
        (call,) = await until(host, attention)
        await give(host, RetryCall("order-1", call.call))
        (call,) = await until(host, attention)
        assert "OperationGone" in str(call.last_error), "there is no code for it any more, and an operator decides"


async def test_what_code_was_asked_for_is_ended_by_hand_once_nothing_is_bound_any_more(tmp_path: Path) -> None:
    application = make(tmp_path, "bind(judge, by_rule, attempts=1)")
    await run(application, lambda view: any(call.state == "attention" for call in view.waits(1).service_calls))
    forget_modules(application)
    file = application.folder / "procession.toml"
    file.write_text(file.read_text().partition("[deployment]")[0])
    application = open_application(application.folder)

    async with open_host(application, Hosting()) as host:
        await give(host, CompleteCall("order-1", 1, '{"approved": true, "remarks": "by hand"}'))
        assert (await until(host, ended))[1] == "by hand 100"
        with host.engine.store.readers.snapshot() as view:
            assert view.attention() == []
    assert check_invariants(application.store, Evidence()).problems == ()


def asked_for(application: Application) -> list[str]:
    """The operations that were asked for, with the kind of their calls."""
    readers = open_readers(application.store)
    try:
        with readers.snapshot() as view:
            (row,) = view.instances.list(InstanceFilter(), limit=1)
            events = [decode_event(each) for each in view.history(row.id)]
    finally:
        readers.close()
    return [f"{each.operation} {each.kind}" for each in events if isinstance(each, CallRequested)]


def test_the_configuration_lists_who_performs_what(tmp_path: Path) -> None:
    application = make(tmp_path, "bind(judge, by_rule), bind(price, stub(3))")
    package = application.packages[0]
    shown = {each.name: each.value for each in configuration_of(application).bindings}
    assert shown == {"Shop.judge": f"{package}.bound.by_rule", "Shop.price": "always 3"}


@pytest.mark.parametrize(
    ("binds", "told"),
    [
        ("bind(price, None)", "Shop.price is bound to nothing: None performs nothing"),
        ("bind(price, judge)", "Shop.judge is an operation of its own"),
        ("bind(by_rule, price)", "is no operation"),
        ("bind(price, stub('dear'))", "Shop.price cannot be given 'dear'"),
        ("bind(judge, by_rule), bind(judge, stub(Opinion(True)))", "Shop.judge is bound twice"),
        (
            "bind(price, by_rule)",
            r"Shop.price is `\(number: str\) -> int`, and .*by_rule \(.*\) is `\(number: str, amount: int\) -> Opinion`",
        ),
        ('bind(judge, by_rule, timeout="soon")', "timeout='soon'"),
        ('bind(price, people(due="1 working day"))', "working time"),
    ],
)
def test_a_binding_that_cannot_be_is_refused_when_it_is_loaded(tmp_path: Path, binds: str, told: str) -> None:
    with pytest.raises(ProcessionError, match=told):
        load(make(tmp_path, binds))


def test_a_module_that_binds_nothing_is_refused_with_the_line_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"procession.toml:\d+: the module .*bound binds nothing"):
        load(make(tmp_path, ""))


def test_an_operation_that_is_of_no_package_is_refused(tmp_path: Path) -> None:
    application = make(tmp_path, "bind(price, stub(3))")
    (application.folder / "elsewhere.py").write_text(
        'from procession import Function\nf = Function("Other", owner="ann@acme.example")\n'
        "@f.service()\nasync def a() -> int:\n    return 1\n"
        "from procession.deployment import bind, stub\nb = bind(a, stub(2))\n"
    )
    file = application.folder / "procession.toml"
    file.write_text(file.read_text().replace(f"{application.packages[0]}.bound", "elsewhere"))
    with pytest.raises(AuthorError, match=r"the application does not have Other.a"):
        load(open_application(application.folder))


def test_the_environment_names_another_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application = make(tmp_path, "bind(price, stub(3))")
    package = application.packages[0]
    (application.folder / package / "staging.py").write_text(BOUND + "bindings = [bind(price, stub(4))]\n")
    monkeypatch.setenv("PROCESSION_BINDINGS", f"{package}.staging")
    (shown,) = configuration_of(open_application(application.folder)).bindings
    assert shown.value == "always 4"
