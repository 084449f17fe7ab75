"""What starting costs: `python -m benchmarks.start_up`. CPU of a child process, user and system, the least of several.

The limits hold on a machine that starts a bare interpreter as fast as the reference does; on a slower one they grow with it, so
that the figure tells of us and not of the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

BARE_REFERENCE_SECONDS = 0.012
EVERY_NAME = "import procession; [getattr(procession, name) for name in procession.__all__]"
CONSOLE_SCRIPT = "import sys; from procession.cli.main import main; sys.exit(main())"
RUNS = 7


@dataclass(frozen=True, slots=True)
class StartUp:
    """One way to start, what it costs, and what it may cost on this machine."""

    key: str
    name: str
    cpu_seconds: float
    limit_seconds: float

    @property
    def is_within(self) -> bool:
        return self.cpu_seconds <= self.limit_seconds


def cpu_seconds(*arguments: str) -> float:
    """The least CPU time that this Python takes for these arguments."""
    best = float("inf")
    for _ in range(RUNS):
        child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise RuntimeError(f"python {' '.join(arguments)} ended with {child.returncode}")
        best = min(best, usage.ru_utime + usage.ru_stime)
    return best


def measure() -> list[StartUp]:
    """The import and the command line's help, which are promised; and every name of the front door, which loads pydantic."""
    factor = max(1.0, cpu_seconds("-c", "pass") / BARE_REFERENCE_SECONDS)
    return [
        StartUp("import", "import procession", cpu_seconds("-c", "import procession"), 0.25 * factor),
        StartUp("every_name", "every name of it", cpu_seconds("-c", EVERY_NAME), 0.5 * factor),
        StartUp("help", "procession --help", cpu_seconds("-c", CONSOLE_SCRIPT, "--help"), 0.3 * factor),
    ]


def main() -> int:
    figures = measure()
    for figure in figures:
        verdict = "ok" if figure.is_within else "TOO SLOW"
        print(f"{figure.name:20} {figure.cpu_seconds:6.3f} s of CPU   limit {figure.limit_seconds:.3f} s   {verdict}")
    return 0 if all(figure.is_within for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
