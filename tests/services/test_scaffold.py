"""A new application: complete or not there at all."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from procession.services.application import open_application
from procession.services.scaffold import FolderNotEmpty, UnusableName, local_zone_name, make_application


def test_what_is_made_is_an_application_with_two_people_and_the_type_checkers_settings(tmp_path: Path) -> None:
    made = make_application(tmp_path / "deep" / "time-off")
    application = open_application(Path(made.folder))
    assert application.name == "time-off"
    assert application.packages == ("time_off",)
    assert sorted(application.load_organisation().people) == ["ann", "bob"]
    settings = tomllib.loads((Path(made.folder) / "pyproject.toml").read_text())
    assert settings["tool"]["mypy"]["strict"]
    assert "empty-body" in settings["tool"]["mypy"]["disable_error_code"]
    assert sorted(
        path.relative_to(made.folder).as_posix() for path in Path(made.folder).rglob("*") if path.is_file()
    ) == sorted(made.files)


def test_an_empty_folder_is_filled_and_another_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "leave").mkdir()
    make_application(tmp_path / "leave")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FolderNotEmpty, match="Nothing was written"):
        make_application(tmp_path / "leave")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "leave").write_text("mine")
    with pytest.raises(FolderNotEmpty):
        make_application(tmp_path / "leave")
    assert (tmp_path / "leave").read_text() == "mine"


@pytest.mark.slow
def test_the_tests_of_a_new_application_pass(tmp_path: Path) -> None:
    made = make_application(tmp_path / "time-off")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=made.folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout


@pytest.mark.parametrize("name", ["json", "procession", "pytest", "tests", "class", "1st", "söhne", "a" * 61, "a$b"])
def test_a_name_that_cannot_be_a_package_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnusableName):
        make_application(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text = Path.write_text

    def full(path: Path, text: str, *, encoding: str) -> int:
        if path.name == "README.md":
            raise OSError(28, "No space left on device")
        return write_text(path, text, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UnusableName, match="No space left"):
        make_application(tmp_path / "leave")
    assert list(tmp_path.iterdir()) == []


def test_the_zone_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Lisbon")
    assert local_zone_name() == "Europe/Lisbon"
    monkeypatch.setenv("TZ", "Nowhere/Land")
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: "")
    assert local_zone_name() == "UTC"
