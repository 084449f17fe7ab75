"""What services are given that is no input: resources opened with the engine and closed with it, secrets that nobody sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from procession.errors import AuthorError, ProcessionError
from procession.services.application import Application, open_application
from procession.services.commands import StartInstance
from procession.services.configuration import configuration_of
from procession.services.hosting import Host, Hosting, open_host
from procession.services.reloading import load
from procession.services.resources import ResourceFailed, ResourceMissing
from procession.services.secrets import SecretMissing
from procession.services.settings import BadSettings
from procession.store import InstanceFilter, View
from tests.services.applications import give, make_office, until

SHOP = """\
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from procession import Function, process
from procession.control import resource, secret

LOG: list[str] = []
shop = Function("Shop", owner="ann@acme.example")


class Database:
    def __init__(self, password: str) -> None:
        self.password = password

    def book(self, number: str) -> str:
        LOG.append(f"book {number} as {self.password}")
        return f"B-{number}"


@dataclass
class Session:
    database: Database

    async def __aenter__(self) -> "Session":
        LOG.append("session opened")
        return self

    async def __aexit__(self, *_: object) -> None:
        LOG.append("session closed")


@asynccontextmanager
async def database(password: str = secret("DATABASE_PASSWORD")) -> AsyncIterator[Database]:
    LOG.append("database opened")
    yield Database(password)
    LOG.append("database closed")


@shop.service(attempts=1)
async def book(number: str, database: Database = resource()) -> str:
    return database.book(number)


@shop.service(attempts=1)
def confirm(session: Session, number: str, token: str = secret("MAIL_TOKEN")) -> str:
    if number == "B-13":
        raise ConnectionError(f"mail refused {token}")
    return f"{number} confirmed by {session.database.password}/{token}"


@process(owner=shop, title="{number}")
async def order(number: str) -> str:
    booked = await book(number)
    return await confirm(number=booked)
"""
RESOURCES = """
[resources]
database = "PACKAGE.process:database"
session = "PACKAGE.process:Session"
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    monkeypatch.setenv("DATABASE_PASSWORD", "p4ss")
    monkeypatch.setenv("MAIL_TOKEN_FILE", str(tmp_path / "token"))


def make(folder: Path, *changes: tuple[str, str], settings: str = RESOURCES) -> Application:
    made = make_office(folder)
    source = SHOP
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    made.source.write_text(source)
    file = made.application.folder / "procession.toml"
    file.write_text(file.read_text() + settings.replace("PACKAGE", made.application.packages[0]))
    return open_application(made.application.folder)


def log_of(application: Application) -> list[str]:
    (module,) = [each for each in application.load_modules() if hasattr(each, "LOG")]
    log: list[str] = module.LOG
    return log


async def order(host: Host, number: str) -> dict[str, Any]:
    """Start one, and wait until it has ended or needs a person."""
    await give(host, StartInstance("order", f'{{"number": "{number}"}}'))
    return await until(host, came_to)


def came_to(view: View) -> dict[str, Any] | None:
    (row, *_) = view.instances.list(InstanceFilter(), limit=1)
    calls = view.waits(row.id).service_calls
    if row.ended_us is None and not [each for each in calls if each.state == "attention"]:
        return None
    last = view.history(row.id)[-1]
    return {"kind": last.kind, "payload": last.payload, "error": calls[0].last_error if calls else ""}


async def run(application: Application, number: str = "7") -> dict[str, Any]:
    async with open_host(application, Hosting()) as host:
        return await order(host, number)


async def refusal(application: Application) -> str:
    with pytest.raises(ProcessionError) as refused:
        async with open_host(application, Hosting()):
            raise AssertionError("it started")
    assert not application.store.exists(), "nothing was touched"
    return f"{type(refused.value).__name__}: {refused.value}"


async def test_a_service_is_given_what_was_opened_with_the_engine_and_it_is_no_input(tmp_path: Path) -> None:
    application = make(tmp_path)
    ended = await run(application)
    assert b"B-7 confirmed by p4ss/t0ken" in (ended["payload"] or b"")
    assert log_of(application) == [
        "database opened", "session opened", "book 7 as p4ss", "session closed", "database closed",
    ]  # fmt: skip
    registry = application.load_registry()
    assert [each.name for each in registry.operations["Shop.confirm"].inputs.parameters] == ["number"]


async def test_no_secret_and_no_resource_is_recorded_nor_told(tmp_path: Path) -> None:
    application = make(tmp_path)
    told = await run(application, "13")
    assert "mail refused ********" in told["error"]
    shown = configuration_of(application)
    assert {each.name: (each.value, each.origin) for each in shown.secrets} == {
        "DATABASE_PASSWORD": ("********", "DATABASE_PASSWORD"),
        "MAIL_TOKEN": ("********", str(tmp_path / "token")),
    }
    stored = application.store.read_bytes()
    assert b"t0ken" not in stored
    assert b"p4ss" not in stored


async def test_a_secret_in_the_folder_of_secrets_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.delenv("MAIL_TOKEN_FILE")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "MAIL_TOKEN").write_text("from the folder")
    assert b"/from the folder" in (await run(make(tmp_path)))["payload"]


async def test_a_secret_that_is_missing_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIL_TOKEN_FILE")
    application = make(tmp_path)
    told = await refusal(application)
    assert told.startswith(f"{SecretMissing.__name__}: There is no secret MAIL_TOKEN, which Shop.confirm takes.")
    assert "Set the variable MAIL_TOKEN, or MAIL_TOKEN_FILE" in told
    (shown,) = [each for each in configuration_of(application).secrets if each.origin == "missing"]
    assert (shown.name, shown.value) == ("MAIL_TOKEN", None)


async def test_a_resource_that_cannot_be_opened_is_told_at_the_start_and_the_others_are_closed(tmp_path: Path) -> None:
    application = make(tmp_path, ('        LOG.append("session opened")', '        raise OSError("no route, p4ss")'))
    told = await refusal(application)
    assert told.startswith(ResourceFailed.__name__)
    assert "could not be opened: OSError: no route, ********" in told
    assert log_of(application) == ["database opened", "database closed"]


WITHIN = ("[application]", '[application]\nresources_within = "1 second"')


def hurried(folder: Path, *changes: tuple[str, str]) -> Application:
    """The application whose resources have a second."""
    file = make(folder, *changes).folder / "procession.toml"
    file.write_text(file.read_text().replace(*WITHIN))
    return open_application(file.parent)


async def test_a_resource_that_hangs_when_it_is_opened_is_named_and_the_others_are_closed(tmp_path: Path) -> None:
    application = hurried(tmp_path, ('        LOG.append("session opened")', "        await asyncio.sleep(3_600)"))
    told = await refusal(application)
    assert told.startswith(ResourceFailed.__name__)
    assert "session (" in told
    assert "was not open after 1 s" in told
    assert "application.resources_within" in told
    assert log_of(application) == ["database opened", "database closed"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("await asyncio.sleep(3_600)", "was not closed after 1 s"),
        ("raise OSError('gone')", "could not be closed"),
    ],
)
async def test_a_resource_that_does_not_close_is_named_and_the_others_are_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str, said: str
) -> None:
    application = hurried(tmp_path, ('        LOG.append("session closed")', f"        {fault}"))
    await run(application)
    assert log_of(application)[-1] == "database closed"
    (line,) = [each.getMessage() for each in caplog.records if said in each.getMessage()]
    assert "session (" in line


async def test_commands_that_run_no_service_open_nothing(tmp_path: Path) -> None:
    application = make(tmp_path)

    async with open_host(application, Hosting(runs_services=False, runs_timers=False)) as host:
        await give(host, StartInstance("order", '{"number": "1"}'))
    assert log_of(application) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('[resources]\ndatabase = "PACKAGE.process"', "names no function"),
        ('[resources]\ndatabase = "PACKAGE.process:datbase"', "has no 'datbase'"),
        ('[resources]\ndatabase = "PACKAGE.process:LOG"', "is list, not a function"),
        ('[resources]\nsession = "PACKAGE.process:Session"', "takes `database`, and nobody gives it"),
        (RESOURCES + 'again = "PACKAGE.process:database"', "are both of the type"),
    ],
)
def test_a_line_of_resources_that_cannot_be_opened_is_refused_with_its_line(
    tmp_path: Path, settings: str, told: str
) -> None:
    with pytest.raises(BadSettings) as refused:
        load(make(tmp_path, settings=settings))
    assert told in str(refused.value)
    assert "procession.toml:" in str(refused.value)


async def test_a_resource_that_nobody_opens_is_refused_at_the_start(tmp_path: Path) -> None:
    without = ("session: Session, number", "number")
    body = ("{session.database.password}/{token}", "{token}")
    told = await refusal(make(tmp_path, without, body, settings=""))
    assert told.startswith(ResourceMissing.__name__)
    assert "Shop.book takes `database`" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('token: str = secret("MAIL_TOKEN")', 'token: int = secret("MAIL_TOKEN")'), "its type is not `str`"),
        (("database: Database = resource()", "database: list[int] = resource()"), "is no class"),
        (("async def order(number: str)", "async def order(number: str = resource())"), "Only a service is given"),
    ],
)
def test_what_cannot_be_filled_in_is_refused_when_it_is_loaded(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    with pytest.raises(AuthorError, match=told):
        load(make(tmp_path, change))
