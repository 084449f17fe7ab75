"""Writes the pages of the reference that come from docstrings: `make docs`. With `--check` it only says what is out of date."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "src" / "procession"

DOORS = {
    "procession": "What an author writes often.",
    "procession.control": "What is rare in the control of a process.",
    "procession.people": "Who may do a task.",
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


PAGES = {"reference/errors.md": errors_page, "reference/names.md": names_page}


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
