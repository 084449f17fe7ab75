"""Reading beside an engine that has not taken the source on disk: what is seen is what the engine runs, and it is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procession.services.commands import CompleteItem, RetryInstance, StartInstance
from procession.services.health import examine
from procession.services.hosting import Host
from procession.services.reading import Reading, Wanted
from tests.services.applications import Made, give, make_office
from tests.services.test_reloading import WRONG, change, halted

START = '{"letter": "Dear Sir"}'


@pytest.fixture
def office(tmp_path: Path) -> Made:
    return make_office(tmp_path, lambda text: text + WRONG)


async def received(host: Host) -> str:
    host.engine.store.lock.announce("/run/somewhere")
    return str((await give(host, StartInstance("receive", START)))["instance"])


def seen(made: Made, instance: str) -> Any:
    with Reading(made.application) as reading:
        return reading.instance(instance, with_variables=True)


async def test_as_long_as_the_source_is_the_engines_nothing_is_said(office: Made) -> None:
    async with office.at_work() as host:
        name = await received(host)
        assert seen(office, name).engine_note == ""
        with Reading(office.application) as reading:
            assert reading.instances(Wanted()).engine_note == ""
        assert examine(office.application).engine.note == ""  # type: ignore[union-attr]


async def test_the_stack_is_that_of_the_source_that_the_engine_runs(office: Made) -> None:
    async with office.at_work() as host:
        name = await received(host)
        before = seen(office, name)
        change(office.source, ("    attribute(length=len(letter))\n", "    await weigh(letter)\n"))
        office.source.write_text("# moved\n" + office.source.read_text())

        after = seen(office, name)

        assert (after.branches_from, after.note) == ("replay", "")
        assert after.branches == before.branches
        file = office.source.relative_to(office.application.folder)
        assert after.engine_note.startswith("The engine runs the source of ")
        assert f"; {file} changed at " in after.engine_note
        assert "`procession retry`" in after.engine_note


@pytest.mark.parametrize("broken", ["def (", "raise RuntimeError('half way')"])
async def test_a_source_that_does_not_load_keeps_nobody_from_reading_and_working(office: Made, broken: str) -> None:
    async with office.at_work() as host:
        name = await received(host)
        office.source.write_text(broken)
        assert seen(office, name).branches_from == "replay"
        with Reading(office.application) as reading:
            item = reading.worklist("ann").items[0].item
            assert [field.type_name for field in reading.form_of(item)] == ["whole number"]
            assert [field.path for field in reading.inputs_of("receive")] == ["letter"]
            assert reading.item(item).instructions == "How many pages does it have?"
        await give(host, CompleteItem(item, "3"))


async def test_after_the_source_was_taken_nothing_is_said(office: Made) -> None:
    async with office.at_work() as host:
        name = await received(host)
        stopped = await halted(host)
        change(office.source, ("pages // by", "pages // (by or 1)"))
        assert seen(office, name).engine_note != ""
        await give(host, RetryInstance(stopped))
        assert seen(office, name).engine_note == ""


async def test_a_file_that_is_gone_is_told(office: Made) -> None:
    extra = office.source.with_name("extra.py")
    extra.write_text("ONE = 1\n")
    async with office.at_work() as host:
        name = await received(host)
        extra.unlink()
        assert ".extra is gone" in seen(office, name).engine_note


async def test_a_package_that_the_settings_do_not_name_any_more_is_told_as_that(office: Made) -> None:
    (office.application.folder / "nix").mkdir()
    (office.application.folder / "nix" / "__init__.py").write_text("ONE = 1\n")
    (name,) = office.application.packages
    async with office.at_work() as host:
        instance = await received(host)
        for packages, told in (
            ((name, "nix"), "procession.toml names the package nix now. A restart takes it."),
            ((), f"procession.toml does not name the package {name} any more. A restart takes it."),
        ):
            other = replace(office, application=replace(office.application, packages=packages))
            assert seen(other, instance).engine_note.endswith(told)


async def test_a_package_that_is_gone_is_told_by_its_name(office: Made) -> None:
    part = office.source.parent / "part"
    part.mkdir()
    (part / "__init__.py").write_text("")
    async with office.at_work() as host:
        name = await received(host)
        shutil.rmtree(part)
        assert f"; the module {office.application.name}.part is gone" in seen(office, name).engine_note


async def test_why_the_engine_may_not_know_what_is_on_disk_is_told_with_the_line(office: Made) -> None:
    async with office.at_work() as host:
        await received(host)
        with Reading(office.application) as reading:
            assert reading.why_unknown == ""
        text = office.source.read_text()
        office.source.write_text(f"{text}\n@process(owner=desk)\nasync def later() -> None: ...\n")
        with Reading(office.application) as reading:
            assert reading.why_unknown == reading.engine_note != ""
        office.source.write_text(f"{text}\ndef (")
        with Reading(office.application) as reading:
            assert "But what is on disk does not load: " in reading.why_unknown
            assert f"process.py:{len(text.splitlines()) + 2}" in reading.why_unknown
            assert reading.inputs_of("receive")


async def test_doctor_says_that_the_engine_runs_another_source_and_what_will_halt(office: Made) -> None:
    async with office.at_work() as host:
        name = await received(host)
        change(office.source, ("    attribute(length=len(letter))\n", "    await weigh(letter)\n"))
        text = "import json, sys; from pathlib import Path\n"
        text += "from procession.services.application import open_application\n"
        text += "from procession.services.health import examine\n"
        text += "r = examine(open_application(Path(sys.argv[1])))\n"
        text += "print(json.dumps([r.engine.note, [[c.kind, c.subject] for c in r.concerns]]))\n"
        folder = str(office.application.folder)
        run = subprocess.run([sys.executable, "-c", text, folder], capture_output=True, text=True, check=True)
        note, concerns = json.loads(run.stdout)
        assert note.startswith("The engine runs the source of ")
        assert ["does not replay", name] in concerns


async def test_where_what_the_engine_runs_cannot_be_loaded_here_it_is_said_plainly(office: Made) -> None:
    """It read a file when it was loaded that is not there any more."""
    beside = office.source.with_name("words.txt")
    beside.write_text("x")
    text = office.source.read_text()
    office.source.write_text(f"import pathlib\npathlib.Path({str(beside)!r}).read_text()\n{text}")
    async with office.at_work() as host:
        name = await received(host)
        beside.unlink()
        office.source.write_text(text.replace("    attribute(length=len(letter))\n", "    await weigh('')\n"))
        code = "import sys; from pathlib import Path\n"
        code += "from procession.services.application import open_application\n"
        code += "from procession.services.reading import Reading\n"
        code += "d = Reading(open_application(Path(sys.argv[1]))).instance(sys.argv[2])\n"
        code += "print(d.branches_from, d.note)\n"
        run = subprocess.run(
            [sys.executable, "-c", code, str(office.application.folder), name],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.startswith("record What the engine runs cannot be replayed here")
