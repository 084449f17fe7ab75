"""Settings: read once, typed, each value with the place where it was said; what nobody knows is refused there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.services.settings import BadSettings, Settings, read_settings
from procession.services.toml_lines import TomlLines, TomlPath

LEAVE = """\
# An application
[application]
name = "leave"
packages = [
    "leave",
]
store = "leave.db"
"""


def read(folder: Path, text: str = LEAVE, **environment: str) -> Settings:
    file = folder / "procession.toml"
    file.write_text(text, encoding="utf-8")
    return read_settings(file, environment)


def refusal(folder: Path, text: str = LEAVE, **environment: str) -> str:
    with pytest.raises(BadSettings) as refused:
        read(folder, text, **environment)
    return str(refused.value).replace(str(folder) + "/", "")


def test_every_value_says_where_it_came_from(tmp_path: Path) -> None:
    every = {each.name: each for each in read(tmp_path, PROCESSION_ORGANISATION="people.toml").every()}
    assert every["application.store"].origin == "procession.toml:7"
    assert every["application.packages"].origin == "procession.toml:4"
    assert every["application.time_zone"].origin == "default"
    organisation = every["application.organisation"]
    assert (organisation.value, organisation.origin) == ("people.toml", "PROCESSION_ORGANISATION")


def test_the_environment_goes_over_the_file_and_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    settings = read(tmp_path, PROCESSION_STORE="other.db", PROCESSION_TIME_ZONE="")
    assert settings.tables.application.store == "other.db"
    assert settings.tables.application.time_zone == "UTC"


def test_an_unknown_key_is_refused_with_its_line_and_the_key_that_was_meant(tmp_path: Path) -> None:
    assert refusal(tmp_path, LEAVE + 'time-zone = "UTC"\n') == (
        "procession.toml:8: there is no setting `application.time-zone`. Did you mean `time_zone`?"
    )


def test_an_unknown_table_is_refused_with_the_tables_there_are(tmp_path: Path) -> None:
    told = refusal(tmp_path, LEAVE + "[zebra]\nstripes = 3\n")
    assert told.startswith("procession.toml:8: there is no setting `zebra`. There are: application")


def test_a_value_of_the_wrong_type_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "procession.toml:7: application.store: input should be a valid string" in refusal(
        tmp_path, LEAVE.replace('"leave.db"', "7")
    )


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    told = refusal(tmp_path, '[application]\nname = ""\npackages = []\nstor = 1\n')
    assert "toml:2" in told
    assert "toml:3" in told
    assert "toml:4" in told


def test_a_variable_that_is_nearly_a_setting_is_refused_and_others_are_not_ours(tmp_path: Path) -> None:
    read(tmp_path, PROCESSION_HOME="/tmp", PROCESSION_PROGRAMS="3", PATH="/bin")
    assert refusal(tmp_path, PROCESSION_TIMEZONE="UTC") == (
        "The environment has PROCESSION_TIMEZONE, which is no setting. Did you mean PROCESSION_TIME_ZONE?"
    )


def test_a_fault_in_a_variable_names_the_variable(tmp_path: Path) -> None:
    settings = read(tmp_path, PROCESSION_TIME_ZONE="Mars/Olympus")
    fault = settings.fault(("application", "time_zone"), "there is no such zone.", "Name another.")
    assert str(fault) == "PROCESSION_TIME_ZONE: there is no such zone. Name another."


keys = st.sampled_from(["a", "b", "c", '"with blank"'])
values = st.sampled_from(["1", '"x = [y]"', '"""\n[not.a.table]\nk = 1\n"""', "[\n  1, # one\n  2,\n]", "{ in = 1 }"])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, dict[TomlPath, int]]:
    """A TOML file with the line of every key that is written in it."""
    lines: list[str] = []
    expected: dict[TomlPath, int] = {}
    for table in draw(st.permutations(["", "one", "one.two", "list", "list"])):
        path: TomlPath = tuple(table.split(".")) if table else ()
        if table == "list":
            path = ("list", sum(line == "[[list]]" for line in lines))
            lines.append("[[list]]")
        elif table:
            lines.append(f"[{table}]")
        elif lines:
            continue  # keys without a table come first
        for key in draw(st.lists(keys, unique=True)):
            lines += ["# why"] * draw(st.integers(0, 1))
            expected[(*path, key.strip('"'))] = len(lines) + 1
            lines += f"{key} = {draw(values)}".split("\n")
    return "\n".join(lines), expected


@given(files())
def test_every_key_is_found_on_the_line_on_which_it_is_written(file: tuple[str, dict[TomlPath, int]]) -> None:
    text, expected = file
    lines = TomlLines.of(text)
    assert {path: lines.find(path) for path in expected} == expected
