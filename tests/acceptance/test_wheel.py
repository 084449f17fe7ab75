"""Procession as it is installed: from a wheel, into an environment of its own, away from the checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built by the build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"import hatchling.build; print(hatchling.build.build_wheel({str(folder)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", build], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=120
    )
    return folder / built.stdout.split()[-1]


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it. What it depends on is lent by the environment of the tests: no network."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    scheme = {"base": str(folder), "platbase": str(folder)}
    own = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    install = [
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run([sys.executable, *install], capture_output=True, check=True, timeout=120)
    (own / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_example_travels_in_the_wheel_without_what_a_run_left(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    example = {name.removeprefix("procession/examples/permits/") for name in names if "/permits/" in name}
    assert {"procession.toml", "organisation.toml", "model.toml", "permits/process.py", "README.md"} <= example
    assert not [name for name in names if name.endswith((".db", ".pyc", ".lock"))]
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]


def test_the_demo_runs_where_the_wheel_is_installed(bin_folder: Path, tmp_path: Path) -> None:
    """From any folder, with nothing of the checkout on the path."""
    environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8"}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        return done.stdout

    where = run("python", "-c", "import procession; print(procession.__file__)")
    assert Path(where.strip()).is_relative_to(bin_folder.parent)
    printed = run("procession", "demo", "--generate", "5")
    commands = [line.strip() for line in printed.partition("Try next:\n")[2].splitlines()]
    assert [command.split()[0] for command in commands] == ["procession"] * 3
    for command in commands:
        run("sh", "-c", command)
    found = json.loads(run("procession", "demo", "--generate", "5", "--format", "json"))
    assert (found["cases"], found["lost"], found["doubled"]) == (5, 0, 0)
