"""Where the demo lives: the example's files, and an application folder of its own that is begun anew each time."""

import itertools
import os
import shutil
from pathlib import Path

from procession.errors import OperatorError
from procession.store import find_holder

EXAMPLE = "permits"
STORE_FILE = "permits.db"
_MARK = ".made-by-procession-demo"


class DemoFolderTaken(OperatorError):
    """The demo's folder holds something that the demo did not make; it is left alone."""

    code = "demo-folder-taken"


class DemoFolderNotUsable(OperatorError):
    """The demo's folder cannot be made or written."""

    code = "demo-folder-not-usable"


class ExampleMissing(OperatorError):
    """The example's files are neither in the installed package nor beside the source."""

    code = "example-missing"


def make_folder(given: Path | None = None, *, keep: bool = False) -> Path:
    """The demo's application folder, begun anew; beside the last one where that is to be kept.

    Raises `DemoFolderTaken`, `DemoFolderNotUsable`.
    """
    folder = (given or default_home() / "demo" / EXAMPLE).absolute()
    try:
        if keep:
            folder = _next_free(folder)
        if folder.exists() and any(folder.iterdir()):
            _check_ours(folder)
            _empty(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).touch()  # first of all: what is left of a demo that broke off can be begun anew
        ignored = shutil.ignore_patterns("__pycache__", "tests", "*.db*")
        shutil.copytree(example_folder(), folder, ignore=ignored, dirs_exist_ok=True)
    except OSError as error:
        raise DemoFolderNotUsable(
            f"The demo's folder {folder} cannot be written: {error.strerror or error}.",
            subject=str(folder),
            remedy="Name another with --app, or set PROCESSION_HOME to a folder of yours.",
        ) from error
    return folder


def _check_ours(folder: Path) -> None:
    if not (folder / _MARK).is_file():
        raise DemoFolderTaken(
            f"{folder} holds files that the demo did not make.",
            subject=str(folder),
            remedy="Name another folder with --app.",
        )
    if find_holder(folder / STORE_FILE) is not None:
        raise DemoFolderTaken(
            f"An engine runs on the last demo in {folder}.",
            subject=str(folder),
            remedy="Stop it, or keep that demo with --keep: the new one is made beside it.",
        )


def _empty(folder: Path) -> None:
    """Removes what the last demo left, its mark last."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _MARK:
            path.unlink()


def _next_free(folder: Path) -> Path:
    beside = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([folder], beside) if not each.exists() or not any(each.iterdir()))


def default_home() -> Path:
    """Where Procession keeps what belongs to the user: $PROCESSION_HOME, else the user's folder for state."""
    given = os.environ.get("PROCESSION_HOME")
    if given:
        return Path(given).expanduser()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "procession"


def example_folder() -> Path:
    """The example's files: in the installed package, or in the checkout. Raises `ExampleMissing`."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "examples" / EXAMPLE, package.parent.parent / "examples" / EXAMPLE):
        if (folder / "procession.toml").is_file():
            return folder
    raise ExampleMissing("The example's files are not installed.", remedy="Install Procession again.")
