"""The rules of the house: sizes, names, imports, exports. Rules that are not run are wishes."""

from __future__ import annotations

import ast
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "procession"
SOURCES = sorted(PACKAGE.rglob("*.py"))
EVERYTHING = sorted(
    path for folder in ("src", "tests", "examples", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")
)

FILE_LINES = 500
FUNCTION_LINES = 60
FUNCTION_MEDIAN_LINES = 12
KERNEL_LINES = 3400
KERNEL_FILES = 14
PARAMETERS = 6
MORE_PARAMETERS = {
    ("language", "task"): "the options of a declaration are its vocabulary, an object of options would be noise",
    ("language", "service"): "the same",
    ("language", "process"): "the same",
    ("cli", "*"): "typer reads a command's options from its parameters",
}
"""Room and function that take more than six, with the reason; `*` stands for all of a room."""
README_LINES = 150
FRONT_DOOR_NAMES = 25

BANNED_WORDS = {
    "manager": "says that it does something with something; name what it does",
    "helper": "says who wrote it, not what it is",
    "util": "a drawer for what nobody named",
    "utils": "a drawer for what nobody named",
    "handler": "everything handles something",
    "data": "everything is data",
    "info": "everything is information",
    "misc": "a drawer for what nobody named",
    "common": "a drawer for what nobody named",
    "base": "says where it stands in a hierarchy, not what it is",
    "impl": "says that there is another one, not what differs",
    "workflow": "the glossary says process",
    "activity": "the glossary says operation, task or service",
    "assignee": "the glossary says performer",
    "ticket": "the glossary says work item",
}
ALLOWED_NAMES = {
    "call_exception_handler": "asyncio's name for a method of an event loop",
    "default_exception_handler": "asyncio's name for a method of an event loop",
    "get_exception_handler": "asyncio's name for a method of an event loop",
    "set_exception_handler": "asyncio's name for a method of an event loop",
    "add_signal_handler": "asyncio's name for a method of an event loop",
    "remove_signal_handler": "asyncio's name for a method of an event loop",
    "info": "the standard name of a log level",
    "manager_of": "the glossary's manager: whom a function or a person reports to",
}

HEAVY = (
    "sqlalchemy",
    "alembic",
    "sqlite3",
    "typer",
    "click",
    "rich",
    "fastapi",
    "jinja2",
    "structlog",
    "hypothesis",
    "pytest",
)
"""What an author's process must not pay for: `import procession` brings none of these."""


@dataclass(frozen=True, slots=True)
class Defined:
    """A class or function as the source has it."""

    path: Path
    name: str
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    top_level: bool

    @property
    def lines(self) -> int:
        return (self.node.end_lineno or self.node.lineno) - self.node.lineno + 1

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.node.lineno} {self.name}"


def definitions(path: Path) -> Iterator[Defined]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # A signature under @overload is a type, told by the function that follows it.
            if any(isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list):
                continue
            yield Defined(path, node.name, node, id(node) in top)


def functions(paths: list[Path]) -> list[Defined]:
    return [item for path in paths for item in definitions(path) if not isinstance(item.node, ast.ClassDef)]


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def words(name: str) -> list[str]:
    """`WorkItemRow` and `work_item_row` are three words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name).lower().split()


def test_no_file_is_longer_than_500_lines() -> None:
    assert [
        f"{path.relative_to(ROOT)}: {line_count(path)}" for path in EVERYTHING if line_count(path) > FILE_LINES
    ] == []


def test_no_function_is_longer_than_60_lines() -> None:
    assert [f"{item}: {item.lines}" for item in functions(EVERYTHING) if item.lines > FUNCTION_LINES] == []


def test_half_of_the_functions_are_shorter_than_12_lines() -> None:
    assert statistics.median(item.lines for item in functions(SOURCES)) < FUNCTION_MEDIAN_LINES


def test_the_kernel_can_be_read_in_an_afternoon() -> None:
    files = sorted((PACKAGE / "kernel").glob("*.py"))
    assert 0 < len(files) <= KERNEL_FILES
    assert sum(map(line_count, files)) <= KERNEL_LINES


def test_rooms_have_one_level_of_files() -> None:
    allowed = {"graph/checks", "store/migrations", "store/migrations/versions", "web/templates", "web/static"}
    nested = {
        path.parent.relative_to(PACKAGE).as_posix() for path in SOURCES if len(path.relative_to(PACKAGE).parts) > 2
    }
    assert nested - allowed == set()


def test_no_room_stands_empty() -> None:
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [room.name for room in rooms if not any(path.stem != "__init__" for path in room.glob("*.py"))] == []


def test_names_say_what_a_thing_is() -> None:
    named = [(str(path.relative_to(ROOT)), path.stem) for path in SOURCES]
    named += [(str(item), item.name) for path in SOURCES for item in definitions(path)]
    wrong = [
        f"{where}: {word}, {BANNED_WORDS[word]}"
        for where, name in named
        if name not in ALLOWED_NAMES
        for word in words(name)
        if word in BANNED_WORDS
    ]
    assert wrong == []


def test_every_module_and_public_name_says_what_it_is_for() -> None:
    """Modules, and classes and functions at a module's top level that do not begin with an underscore."""
    silent = [str(path.relative_to(ROOT)) for path in SOURCES if ast.get_docstring(ast.parse(path.read_text())) is None]
    silent += [
        str(item)
        for path in SOURCES
        for item in definitions(path)
        if item.top_level and not item.name.startswith("_") and ast.get_docstring(item.node) is None
    ]
    assert silent == []


def test_every_test_is_a_sentence() -> None:
    """Its name has four words or more, or a docstring says what must hold."""
    tests = [
        item for item in functions(EVERYTHING) if item.path.name.startswith("test_") and item.name.startswith("test_")
    ]
    assert [str(item) for item in tests if len(words(item.name)) < 5 and ast.get_docstring(item.node) is None] == []


def test_a_function_takes_at_most_six_parameters() -> None:
    wrong = []
    for item in functions(SOURCES):
        arguments = item.node.args  # type: ignore[union-attr]
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        count = len(names) - (names[:1] in (["self"], ["cls"]))
        room = item.path.parent.name
        if count > PARAMETERS and not {(room, item.name), (room, "*")} & MORE_PARAMETERS.keys():
            wrong.append(f"{item}: {count} parameters")
    assert wrong == []


def test_the_readme_is_read_to_its_end() -> None:
    assert line_count(ROOT / "README.md") <= README_LINES


# The front door


def imported_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after this code."""
    script = f"{code}\nimport sys\nprint('\\n'.join({{name.partition('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_front_door_has_at_most_25_names_sorted_and_complete() -> None:
    import procession

    names = procession.__all__
    assert len(names) <= FRONT_DOOR_NAMES
    assert list(names) == sorted(set(names))
    assert [name for name in names if not hasattr(procession, name)] == []
    ours = {
        name for name, value in vars(procession).items() if getattr(value, "__module__", "").startswith("procession.")
    }
    assert {name for name in ours if not name.startswith("_")} <= set(names)


def test_an_author_imports_nothing_heavier_than_pydantic() -> None:
    assert imported_by("import procession") & set(HEAVY) == set()


def test_help_loads_neither_the_store_nor_the_types_of_authors() -> None:
    """`procession --help` is typed often and answers at once."""
    code = "import sys; sys.argv = ['procession', '--help']; sys.stdout = sys.stderr\n"
    code += "from procession.cli.main import main\ntry:\n    main()\nexcept SystemExit:\n    pass\nsys.stdout = sys.__stdout__"
    loaded = imported_by(code)
    assert "typer" in loaded
    assert loaded & {"sqlalchemy", "alembic", "sqlite3", "pydantic", "pydantic_core"} == set()


# The import rules


def lint_imports(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"}
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config", str(config)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


PLANTED = {
    "house": ("kernel/events.py", "def planted():\n    import procession.language\n"),
    "acyclic": (
        "errors.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import procession.store.schema\n",
    ),
    "kernel": ("kernel/events.py", "def planted():\n    import socket\n"),
    "sql": ("work/item.py", "def planted():\n    import sqlite3\n"),
    "terminal": ("engine/contract.py", "def planted():\n    import rich.console\n"),
    "machines": ("language/codec.py", "import subprocess\n"),
    "cluster": ("engine/contract.py", "def planted():\n    import temporalio\n"),
}
"""Contract of .importlinter to a breach of it: the file, and what is written at its end."""


@pytest.mark.slow
@pytest.mark.parametrize("contract", PLANTED)
def test_a_breach_of_an_import_rule_is_reported(contract: str, tmp_path: Path) -> None:
    """In functions and under TYPE_CHECKING too."""
    shutil.copytree(PACKAGE, tmp_path / "procession", ignore=shutil.ignore_patterns("__pycache__"))
    where, breach = PLANTED[contract]
    with (tmp_path / "procession" / where).open("a") as file:
        file.write(f"\n\n{breach}")
    title = re.search(rf"\[importlinter:contract:{contract}\]\nname = (.*)", (ROOT / ".importlinter").read_text())
    assert title is not None
    run = lint_imports(tmp_path, ROOT / ".importlinter")
    assert run.returncode == 1
    assert f"{title[1]} BROKEN" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize(("contract", "owner"), [("sql", "store"), ("terminal", "cli")])
def test_what_one_room_owns_is_forbidden_in_every_other(contract: str, owner: str) -> None:
    """A new room does not escape the rule by not being named."""
    section = (
        (ROOT / ".importlinter")
        .read_text()
        .split(f"[importlinter:contract:{contract}]")[1]
        .split("forbidden_modules")[0]
    )
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert rooms - {owner} - set(re.findall(r"procession\.(\w+)", section)) == set()


def test_every_import_rule_has_a_planted_breach() -> None:
    assert set(re.findall(r"\[importlinter:contract:(\w+)\]", (ROOT / ".importlinter").read_text())) == set(PLANTED)
