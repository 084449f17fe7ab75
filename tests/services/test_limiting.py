"""Limits in the settings, changed while an engine runs, and kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from procession.engine.limits import Limit
from procession.errors import PerformerError
from procession.services.application import Application, open_application
from procession.services.commands import Command, Order, SetLimit
from procession.services.hosting import Hosting, open_host
from procession.services.limiting import list_limits
from procession.services.reloading import load
from procession.services.settings import BadSettings
from tests.services.applications import make_office

LIMITS = """
[limits]
"Machine.weigh" = { at_once = 4, per_minute = 60 }
"""


def make(folder: Path, settings: str = LIMITS) -> Application:
    application = make_office(
        folder, lambda text: text.replace("attempts=3", 'attempts=3, system="scales"')
    ).application
    file = application.folder / "procession.toml"
    file.write_text(file.read_text() + settings)
    return open_application(application.folder)


def in_force(application: Application, *commands: Command, runs_services: bool = True) -> dict[str, Limit]:
    """The limits of an engine after these commands."""

    async def work() -> dict[str, Limit]:
        async with open_host(application, Hosting(runs_services=runs_services)) as host:
            for command in commands:
                await host.perform(Order(command, "ann"))
            return dict(host.engine.limits.in_force)

    return asyncio.run(work())


def listed(application: Application) -> list[tuple[str, int | None, int | None, str]]:
    return [(each.name, each.at_once, each.per_minute, each.origin) for each in list_limits(application).limits]


def test_the_limits_of_the_settings_hold(tmp_path: Path) -> None:
    application = make(tmp_path)
    assert in_force(application) == {"Machine.weigh": Limit(4, 60)}
    ((name, *_, origin),) = listed(application)
    assert (name, origin.partition(":")[0]) == ("Machine.weigh", "procession.toml")


def test_a_limit_that_is_changed_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    application = make(tmp_path)
    assert in_force(application, SetLimit("Machine.weigh", at_once=1), SetLimit("scales", per_minute=9)) == {
        "Machine.weigh": Limit(1, None),
        "scales": Limit(None, 9),
    }
    assert in_force(application)["Machine.weigh"] == Limit(1, None)
    assert listed(application) == [
        ("Machine.weigh", 1, None, "changed by ann"),
        ("scales", None, 9, "changed by ann"),
    ]


def test_a_limit_is_lifted_and_given_back_to_the_settings(tmp_path: Path) -> None:
    application = make(tmp_path)
    assert in_force(application, SetLimit("Machine.weigh")) == {}
    assert in_force(application, runs_services=False) == {}
    assert in_force(application, SetLimit("Machine.weigh", from_settings=True)) == {"Machine.weigh": Limit(4, 60)}


async def test_a_limit_that_was_changed_outlives_a_renaming_and_is_lifted_under_the_new_name(tmp_path: Path) -> None:
    application = make(tmp_path, "")
    async with open_host(application, Hosting()) as host:
        for name in ("Machine.weigh", "scales"):
            await host.perform(Order(SetLimit(name, at_once=1), "ann"))
        source = next(application.folder.glob("*/process.py"))
        text = source.read_text().replace("weigh(", "weighed(").replace('system="scales"', 'was=("weigh",)')
        source.write_text(text)
        assert await host.take_present_source()
        assert host.engine.limits.in_force["Machine.weighed"] == Limit(1)
        assert ("Machine.weighed", 1, None, "changed by ann") in listed(application)
        await host.perform(Order(SetLimit("Machine.weighed"), "ann"))
        await host.perform(Order(SetLimit("scales", from_settings=True), "ann"))
        assert (host.engine.limits.in_force, listed(application)) == ({}, [])


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (SetLimit("Machine.way", at_once=1), "There is no service and no system 'Machine.way'. Did you mean"),
        (SetLimit("Desk.read", at_once=1), "no service and no system 'Desk.read'"),
        (SetLimit("scales", at_once=0), "A limit is 1 or more"),
    ],
)
def test_a_limit_of_nothing_is_refused(tmp_path: Path, command: SetLimit, told: str) -> None:
    with pytest.raises(PerformerError, match=told):
        in_force(make(tmp_path), command)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('[limits]\n"Machine.weight" = { at_once = 1 }', "there is no service and no system 'Machine.weight'. Did you"),
        ("[limits]\nscales = { at_once = 0 }", "greater than or equal to 1"),
        ("[limits]\nscales = { atonce = 1 }", "Did you mean `at_once`?"),
    ],
)
def test_a_limit_that_cannot_hold_is_refused_with_its_line(tmp_path: Path, settings: str, told: str) -> None:
    with pytest.raises(BadSettings) as refused:
        load(make(tmp_path, settings))
    assert told in str(refused.value)
    assert "procession.toml:9: " in str(refused.value)


def test_the_limits_of_one_service_are_listed_with_that_of_its_system(tmp_path: Path) -> None:
    application = make(tmp_path, LIMITS + "scales = { at_once = 2 }\n")
    assert [each.name for each in list_limits(application, "Machine.weigh").limits] == ["Machine.weigh", "scales"]
    assert [each.name for each in list_limits(application, "scales").limits] == ["scales"]
    with pytest.raises(PerformerError, match="no service and no system 'scale'"):
        list_limits(application, "scale")
