"""A new application that runs at once: settings, two people, one process, the type checker's settings."""

import contextlib
import keyword
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from zoneinfo import ZoneInfo

from procession.errors import PerformerError
from procession.services.application import FOREIGN_FOLDERS

LONGEST_NAME = 60


class FolderNotEmpty(PerformerError):
    """A new application needs a folder that does not exist yet, or is empty."""

    code = "folder-not-empty"


class UnusableName(PerformerError):
    """The name of a new application becomes a Python package, and this one cannot."""

    code = "unusable-name"


@dataclass(frozen=True, slots=True)
class NewApplication:
    """What was made: the folder, and its files relative to it."""

    name: str
    folder: str
    package: str
    files: tuple[str, ...]


def make_application(folder: Path) -> NewApplication:
    """Make an application in `folder`, named for it. Raises `FolderNotEmpty`, `UnusableName`; then nothing was written."""
    folder = folder.absolute()
    name = folder.name
    package = _package_name(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderNotEmpty(
            f"{folder} already exists and is not an empty folder.",
            subject=str(folder),
            remedy="Choose another name, or empty the folder. Nothing was written.",
        )
    contents = _contents(name, package, local_zone_name())
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _prepared_beside(folder) as prepared:
            for path, text in contents.items():
                target = prepared / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            # One step from nothing to everything; an empty folder of that name gives way.
            prepared.replace(folder)
    except OSError as error:
        raise UnusableName(
            f"{folder} cannot be made: {error.strerror or error}.",
            subject=str(folder),
            remedy="Choose a folder that you may write to. Nothing was written.",
        ) from error
    return NewApplication(name, str(folder), package, tuple(contents))


def local_zone_name() -> str:
    """The name of this machine's time zone, "UTC" where it does not say."""
    candidates = [os.environ.get("TZ", "").removeprefix(":")]
    with contextlib.suppress(OSError):
        candidates.append(os.path.realpath("/etc/localtime").partition("zoneinfo/")[2])
    with contextlib.suppress(OSError, UnicodeDecodeError):
        candidates.append(Path("/etc/timezone").read_text(encoding="utf-8").strip())
    for name in candidates:
        if name and _is_zone(name):
            return name
    return "UTC"


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _package_name(name: str) -> str:
    package = name.strip().lower().replace("-", "_").replace(" ", "_").replace(".", "_")
    why = ""
    if len(name) > LONGEST_NAME or not package.isascii() or not package.isidentifier() or keyword.iskeyword(package):
        why = f"{name!r} cannot be the name of a Python package."
    elif package in sys.stdlib_module_names or package == "procession":
        why = f"A package called {package!r} would hide the one that Python or Procession itself uses."
    elif _is_installed(package):
        why = f"A package called {package!r} is installed, and this one would hide it."
    elif package == "tests":
        why = "A package called 'tests' would lie where its own tests do."
    if why:
        raise UnusableName(
            why, subject=name, remedy='Choose letters, digits and "-", for example "leave". Nothing was written.'
        )
    return package


def _is_installed(package: str) -> bool:
    folders = [folder for folder in sys.path if Path(folder).name in FOREIGN_FOLDERS]
    return PathFinder.find_spec(package, folders) is not None


@contextlib.contextmanager
def _prepared_beside(folder: Path) -> Iterator[Path]:
    """A folder to fill, on the same file system; what is left of it at the end is removed."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    prepared = scratch / folder.name
    try:
        prepared.mkdir()
        yield prepared
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _contents(name: str, package: str, zone: str) -> dict[str, str]:
    replacements = {"@NAME@": name, "@PACKAGE@": package, "@ZONE@": zone}
    contents: dict[str, str] = {}
    for path, template in _TEMPLATES.items():
        for marker, value in replacements.items():
            path, template = path.replace(marker, value), template.replace(marker, value)
        contents[path] = template
    return contents


_SETTINGS = """\
# What the commands of Procession read. They look for this file in the working directory and above it, or take --app FOLDER.
[application]
name = "@NAME@"
packages = ["@PACKAGE@"]            # the Python packages with processes; nothing else is imported
store = "procession.db"             # one SQLite file, made at the first start
organisation = "organisation.toml"  # the people and their roles
time_zone = "@ZONE@"                # times are read and shown in this zone
"""

_ORGANISATION = """\
# A task is offered to whoever holds the role named for its business function.
[people.ann]
name = "Ann"
email = "ann@acme.example"
roles = ["Team"]

[people.bob]
name = "Bob"
email = "bob@acme.example"
roles = ["Team"]
"""

_PROCESS = '''\
"""A request for leave: a colleague is asked, and the answer depends on what they say."""

from procession import Function, process

team = Function("Team", owner="ann@acme.example")


@team.task(effort="5 minutes", due="2 days")
async def approve(days: int, reason: str) -> bool:
    """May your colleague take this leave?"""
    ...


@process(owner=team, title="{days} days: {reason}")
async def leave(days: int, reason: str) -> str:
    return "enjoy" if await approve(days, reason) else "let us talk"
'''

_TEST = '''\
"""What happens to a request for leave. Run with `pytest`; `world` is a fixture that comes with Procession."""

from procession.testing import World

from @PACKAGE@.process import approve, leave, team


def test_the_leave_is_granted_by_a_colleague(world: World) -> None:
    ann, bob = world.person("ann"), world.person("bob", roles=[team])
    request = ann.start(leave, days=3, reason="a trip")
    world.expect(team).has(1, due="Wednesday")
    bob.complete(approve, True)
    assert request.result() == "enjoy"


def test_what_a_colleague_is_against_is_talked_about(world: World) -> None:
    ann, bob = world.person("ann"), world.person("bob", roles=[team])
    request = ann.start(leave, days=30, reason="a long trip")
    world.advance("2 days")
    bob.complete(approve, False)
    assert request.result() == "let us talk"
'''

_PYPROJECT = """\
[project]
name = "@NAME@"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["procession"]

[project.optional-dependencies]
dev = ["pytest"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]

# With these settings a wrong argument or a forgotten await is an error in the editor.
[tool.mypy]
strict = true
packages = ["@PACKAGE@"]
disable_error_code = ["empty-body"] # the body of a task is `...`: a person does it
enable_error_code = ["possibly-undefined", "unused-awaitable", "truthy-bool", "exhaustive-match", "redundant-expr"]
warn_unreachable = true

[tool.pyright]
typeCheckingMode = "strict"
include = ["@PACKAGE@"]

[tool.ruff]
line-length = 120

[tool.ruff.lint]
extend-select = ["I", "RUF"]
# Types under TYPE_CHECKING cannot be read when the process runs; the body of a task is `...`.
ignore = ["TC", "PIE790"]

[tool.ruff.lint.flake8-bugbear]
extend-immutable-calls = ["procession.control.resource", "procession.control.secret"]
"""

_README = """\
# @NAME@

A process written in Python, run by Procession.

| | |
|---|---|
| `@PACKAGE@/process.py` | the process: what is asked of whom, in which order |
| `tests/test_process.py` | what must come of it, with people made up for the test: `pytest` |
| `organisation.toml` | the people and their roles |
| `procession.toml` | where everything is |

In this folder:

```sh
procession start leave days=3 reason="a trip" --as ann
procession work list --as bob
procession work complete 1 answer=yes --as bob
procession show leave-1
```

`procession run` starts the engine and prints what happens: services are called and timers fire while it runs.
"""

_TEMPLATES = {
    "procession.toml": _SETTINGS,
    "organisation.toml": _ORGANISATION,
    "@PACKAGE@/__init__.py": '"""The processes of @NAME@."""\n',
    "@PACKAGE@/process.py": _PROCESS,
    "tests/test_process.py": _TEST,
    "pyproject.toml": _PYPROJECT,
    "README.md": _README,
    ".gitignore": "__pycache__/\n.venv/\nprocession.db*\n.procession-*\n",
}
