"""The two type checkers infer the arguments and the result of every operation, and refuse each planted mistake."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = HERE / "cases"
SOURCE = HERE.parents[1] / "src"


Checker = Callable[[Path], dict[int, str]]


def mypy_errors(file: Path) -> dict[int, str]:
    command = [sys.executable, "-m", "mypy", "--config-file", str(HERE / "mypy.ini"), file.name]
    command += ["--cache-dir", str(SOURCE.parent / ".mypy_cache" / "cases")]
    told = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=CASES, env={**os.environ, "MYPYPATH": str(SOURCE)}
    )
    assert told.returncode in (0, 1), told.stderr + told.stdout
    found: dict[int, str] = {}
    for line in told.stdout.splitlines():
        if error := re.match(rf"{re.escape(file.name)}:(\d+): error: (.*)", line):
            found.setdefault(int(error[1]), error[2])
        else:
            assert "error:" not in line, line
    return found


def pyright_errors(file: Path) -> dict[int, str]:
    command = [str(Path(sys.executable).parent / "basedpyright"), "--outputjson", "--pythonpath", sys.executable]
    told = subprocess.run([*command, "--project", str(HERE)], capture_output=True, text=True, check=False, cwd=HERE)
    found: dict[int, str] = {}
    for each in json.loads(told.stdout)["generalDiagnostics"]:
        if each["severity"] == "error" and Path(each["file"]).name == file.name:
            found.setdefault(each["range"]["start"]["line"] + 1, each["message"])
    return found


CHECKERS = pytest.mark.parametrize("errors_in", [mypy_errors, pyright_errors])


@CHECKERS
def test_the_shapes_of_the_language_are_inferred(errors_in: Checker) -> None:
    assert errors_in(CASES / "shapes.py") == {}


@CHECKERS
def test_each_mistake_is_found_and_nothing_else(errors_in: Checker) -> None:
    file = CASES / "refused.py"
    expected = {n for n, line in enumerate(file.read_text().splitlines(), start=1) if line.endswith("# refused")}
    found = errors_in(file)
    assert set(found) == expected, {n: found.get(n, "not found") for n in expected ^ set(found)}
    assert len(expected) >= 20


@CHECKERS
def test_tests_of_processes_are_typed_and_their_mistakes_found(errors_in: Checker) -> None:
    assert errors_in(CASES / "world_shapes.py") == {}
    file = CASES / "world_refused.py"
    expected = {n for n, line in enumerate(file.read_text().splitlines(), start=1) if line.endswith("# refused")}
    found = errors_in(file)
    assert set(found) == expected, {n: found.get(n, "not found") for n in expected ^ set(found)}
    assert len(expected) >= 15


@CHECKERS
def test_what_a_deployment_says_is_typed_and_its_mistakes_are_found(errors_in: Checker) -> None:
    file = CASES / "deployment_shapes.py"
    expected = {n for n, line in enumerate(file.read_text().splitlines(), start=1) if line.endswith("# refused")}
    found = errors_in(file)
    assert set(found) == expected, {n: found.get(n, "not found") for n in expected ^ set(found)}
    assert len(expected) >= 7
