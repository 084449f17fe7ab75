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


Errors = dict[str, dict[int, str]]
"""The first error of each line that has one, for each file that has any."""

REFUSED = {"shapes": 0, "refused": 20, "world_shapes": 0, "world_refused": 15, "deployment_shapes": 7}
"""How many mistakes are planted in each file at least."""


def errors_of_mypy() -> Errors:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(HERE / "mypy.ini"),
        *(f"{name}.py" for name in REFUSED),
    ]
    command += ["--cache-dir", str(SOURCE.parent / ".mypy_cache" / "cases")]
    told = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=CASES, env={**os.environ, "MYPYPATH": str(SOURCE)}
    )
    assert told.returncode in (0, 1), told.stderr + told.stdout
    found: Errors = {}
    for line in told.stdout.splitlines():
        if error := re.match(r"(\w+)\.py:(\d+): error: (.*)", line):
            found.setdefault(error[1], {}).setdefault(int(error[2]), error[3])
        else:
            assert "error:" not in line, line
    return found


def errors_of_pyright() -> Errors:
    command = [str(Path(sys.executable).parent / "basedpyright"), "--outputjson", "--pythonpath", sys.executable]
    told = subprocess.run([*command, "--project", str(HERE)], capture_output=True, text=True, check=False, cwd=HERE)
    found: Errors = {}
    for each in json.loads(told.stdout)["generalDiagnostics"]:
        if each["severity"] == "error":
            lines = found.setdefault(Path(each["file"]).stem, {})
            lines.setdefault(each["range"]["start"]["line"] + 1, each["message"])
    return found


@pytest.mark.parametrize("errors", [errors_of_mypy, errors_of_pyright])
def test_the_shapes_are_inferred_and_each_planted_mistake_is_found_and_nothing_else(
    errors: Callable[[], Errors],
) -> None:
    """All files in one go: a checker takes its time to begin."""
    assert {file.stem for file in CASES.glob("*.py")} == set(REFUSED)
    found = errors()
    assert set(found) <= set(REFUSED)
    for name, least in REFUSED.items():
        lines = (CASES / f"{name}.py").read_text().splitlines()
        expected = {number for number, line in enumerate(lines, start=1) if line.endswith("# refused")}
        told = found.get(name, {})
        assert set(told) == expected, {(name, n): told.get(n, "not found") for n in expected ^ set(told)}
        assert len(expected) >= least
