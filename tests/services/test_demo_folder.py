"""The folder of the demo: begun anew, kept, refused; never anything but its own is touched."""

from pathlib import Path

import pytest

from procession.services.demo_folder import (
    DemoFolderNotUsable,
    DemoFolderTaken,
    default_home,
    example_folder,
    make_folder,
)
from procession.store.lock import StoreLock


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's user keeps what belongs to Procession."""
    monkeypatch.setenv("PROCESSION_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_example_without_its_tests_is_an_application_under_the_home(home: Path) -> None:
    folder = make_folder()
    assert folder == home / "demo" / "permits"
    process = Path("permits") / "process.py"
    assert (folder / process).read_text() == (example_folder() / process).read_text()
    assert (folder / "procession.toml").is_file()
    assert not (folder / "tests").exists()


def test_home_is_the_variable_else_the_folder_for_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.delenv("PROCESSION_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_home() == Path("/home/ann/.local/state/procession")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_home() == Path("/state/procession")
    monkeypatch.setenv("PROCESSION_HOME", "~/mine")
    assert default_home() == Path("/home/ann/mine")


def test_it_is_begun_anew_each_time(home: Path) -> None:
    folder = make_folder()
    (folder / "permits.db").write_text("cases")
    (folder / "permits" / "notes.py").write_text("x = 1")
    assert make_folder() == folder
    assert not (folder / "permits.db").exists()
    assert not (folder / "permits" / "notes.py").exists()


def test_what_is_to_be_kept_is_not_touched_and_the_next_is_made_beside_it(home: Path) -> None:
    first = make_folder()
    (first / "permits.db").write_text("cases")
    assert [make_folder(keep=True).name for _ in range(3)] == ["permits-2", "permits-3", "permits-4"]
    assert (first / "permits.db").read_text() == "cases"


def test_the_first_one_that_is_kept_has_the_plain_name(home: Path) -> None:
    assert make_folder(keep=True).name == "permits"


def test_a_folder_that_the_demo_did_not_make_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(DemoFolderTaken, match=r"did not make.*--app"):
        make_folder(mine)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_is_taken_and_what_a_broken_off_demo_left_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("shutil.copytree", full)
        with pytest.raises(DemoFolderNotUsable, match=r"No space left.*--app"):
            make_folder(mine)
    assert make_folder(mine) == mine
    assert (mine / "procession.toml").is_file()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoFolderNotUsable, match="Not a directory"):
        make_folder(tmp_path / "file" / "demo")
    with pytest.raises(DemoFolderNotUsable, match="Not a directory"):
        make_folder(tmp_path / "file")


def test_the_last_demo_is_left_alone_while_an_engine_runs_on_it(home: Path) -> None:
    folder = make_folder()
    lock = StoreLock.acquire(folder / "permits.db")
    try:
        with pytest.raises(DemoFolderTaken, match=r"engine runs.*--keep"):
            make_folder()
        assert make_folder(keep=True).name == "permits-2"
    finally:
        lock.release()
    assert make_folder() == folder


def test_a_link_in_it_is_removed_and_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    folder = make_folder()
    (folder / "link").symlink_to(tmp_path / "mine", target_is_directory=True)
    make_folder()
    assert not (folder / "link").is_symlink()
    assert (tmp_path / "mine" / "thesis.txt").exists()
