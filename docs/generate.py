"""Writes the pages of the reference that come from docstrings: `make docs`. With `--check` it only says what is out of date."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "src" / "procession"

DOORS = {
    "procession": "What an author writes often.",
    "procession.control": "What is rare in the control of a process.",
    "procession.people": "Who may do a task.",
    "procession.client": "What a program outside uses that does work of an application.",
    "procession.deployment": "Who performs an operation in this deployment.",
    "procession.testing": "How a process is tested.",
}

BRANCHES = {
    "AuthorError": ("For the author of the process", "The source must change."),
    "OperatorError": ("For whoever runs the engine", "The set-up or the state of the engine must change."),
    "PerformerError": ("For whoever gave the command or the answer", "Another one must be given; nothing was changed."),
    "InternalError": ("For us", "Please report it, with the text of the error."),
    "": ("Inside process code", "Raised in a process, for the author to catch or to raise."),
}


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """An error class as its source has it."""

    name: str
    module: str
    bases: tuple[str, ...]
    code: str
    text: str


def error_classes() -> dict[str, ErrorClass]:
    """All error classes of the package that somebody outside may meet, by name."""
    found: dict[str, ErrorClass] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("procession", *path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                bases = tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases)
                text = inspect.cleandoc(ast.get_docstring(node) or "")
                found[node.name] = ErrorClass(node.name, ".".join(parts), bases, code_of(node), text)
    errors = found["ProcessionError"]
    return {
        name: item
        for name, item in found.items()
        if branch_of(item, found) is not None and item is not errors and not name.startswith("_")
    }


def code_of(node: ast.ClassDef) -> str:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "code":
            return str(ast.literal_eval(statement.value))
    return ""


def branch_of(item: ErrorClass, classes: dict[str, ErrorClass]) -> str | None:
    """The branch of the tree of errors an error hangs on; "" for one that is raised inside process code; None: not an error."""
    if item.name in BRANCHES:
        return item.name
    if item.module == "procession.errors" and item.name != "ProcessionError":
        inherited = [branch_of(classes[base], classes) for base in item.bases if base in classes]
        return next((branch for branch in inherited if branch is not None), "")
    inherited = [branch_of(classes[base], classes) for base in item.bases if base in classes]
    return next((branch for branch in inherited if branch is not None), None)


def errors_page() -> Iterator[str]:
    classes = error_classes()
    yield "# Errors"
    yield "Written by `make docs` from the classes' docstrings. Each error has a code; an error's text names the thing and what to do."
    for branch, (title, what) in BRANCHES.items():
        yield f"## {title}"
        yield what
        members = [item for item in classes.values() if item.name != branch and branch_of(item, classes) == branch]
        for item in sorted(members, key=lambda item: item.code or item.name):
            yield f"### {item.code or item.name}"
            yield f"`{item.module}.{item.name}`: {item.text}"


def names_page() -> Iterator[str]:
    yield "# Names"
    yield "Written by `make docs` from the docstrings: every name an author imports."
    for door, what in DOORS.items():
        module = importlib.import_module(door)
        yield f"## {door}"
        yield what
        for name in sorted(module.__all__):
            text = inspect.getdoc(getattr(module, name))
            if not text:
                raise SystemExit(f"{door}.{name} has no docstring: it needs one, its page is made from it.")
            yield f"### {name}"
            yield text
            yield from _methods(getattr(module, name))


def _methods(thing: object) -> Iterator[str]:
    """What a class offers itself; what it inherits, or leaves undescribed, is for the rooms below."""
    for name, member in vars(thing).items() if isinstance(thing, type) else ():
        if isinstance(member, property | FunctionType) and not name.startswith("_") and member.__doc__:
            yield f"`{thing.__name__}.{name}`: {inspect.getdoc(member)}"


def commands_page() -> Iterator[str]:
    import typer

    from procession.cli.main import app

    yield "# Commands"
    yield "Written by `make docs` from the command line itself. Every command takes `--help`."
    group = typer.main.get_command(app)
    yield from _commands_in(group, "procession")


def _commands_in(command: Any, path: str) -> Iterator[str]:
    """A group is opened, a command described. The parts of a command are what `--help` shows of it."""
    if members := getattr(command, "commands", None):
        for name in sorted(members):
            yield from _commands_in(members[name], f"{path} {name}")
        return
    yield f"## {path}"
    yield inspect.cleandoc(command.help or "")
    yield command.epilog.replace("Example: ", "Example: `") + "`"
    rows = [_row_of(parameter) for parameter in command.params if parameter.name != "help"]
    yield "\n".join(["| | |", "|---|---|", *rows])


def _row_of(parameter: Any) -> str:
    written = ", ".join(f"`{each}`" for each in parameter.opts) if parameter.param_type_name == "option" else ""
    shown = written or f"`{parameter.metavar or parameter.name.upper()}`"
    return f"| {shown} | {(parameter.help or '').replace('|', '/')} |"


def life_cycles_page() -> Iterator[str]:
    from procession.kernel import CALL, INSTANCE
    from procession.work.item import LIFE_CYCLE

    yield "# Life cycles"
    yield "Written by `make docs` from the tables that the machine itself goes by: what is not here cannot happen."
    for title, table in (("Instance", INSTANCE), ("Call", CALL), ("Work item", LIFE_CYCLE)):
        yield f"## {title}"
        yield _diagram(table)


def _diagram(table: Mapping[Any, Mapping[Any, Any]]) -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    for state, following in table.items():
        for event, target in following.items():
            lines.append(f"    {state.value} --> {target.value}: {getattr(event, '__name__', None) or event.value}")
    return "\n".join([*lines, "```"])


def documents_page() -> Iterator[str]:
    from documents import documents_page as parts

    return parts()


PAGES = {
    "reference/json.md": documents_page,
    "reference/commands.md": commands_page,
    "reference/errors.md": errors_page,
    "reference/life-cycles.md": life_cycles_page,
    "reference/names.md": names_page,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check: bool = parser.parse_args().check
    stale = []
    for name, parts in PAGES.items():
        page, text = DOCS / name, "\n\n".join(parts()) + "\n"
        if check and (not page.exists() or page.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            page.write_text(text, encoding="utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}; run `make docs`")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
