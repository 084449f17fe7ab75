"""The figures as a table, each with its target where it has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Figures = Mapping[str, float]
Target = Callable[[Figures], tuple[str, bool]]


def at_least(name: str, limit: float) -> Target:
    return lambda figures: (f">= {limit:g}", figures[name] >= limit)


def at_most(name: str, limit: float) -> Target:
    return lambda figures: (f"<= {limit:g}", figures[name] <= limit)


def near_a_raw_commit(figures: Figures) -> tuple[str, bool]:
    """One hand-off is one commit: 5 ms, or half as much again as the commit itself where the disk is slower."""
    limit = max(5.0, 1.5 * figures["raw_commit_p99_ms"])
    return f"<= {limit:.2f}", figures["complete_to_visible_p99_ms"] <= limit


TARGETS: dict[str, Target] = {
    "cpu_us_per_handoff": at_most("cpu_us_per_handoff", 83),
    "ratio_raw": at_least("ratio_raw", 0.10),
    "ratio_dbos": at_least("ratio_dbos", 30),
    "complete_to_visible_p99_ms": near_a_raw_commit,
    "parked_disk_bytes_per_instance": at_most("parked_disk_bytes_per_instance", 4096),
    "import_cpu_seconds": at_most("import_cpu_seconds", 0.25),
    "help_cpu_seconds": at_most("help_cpu_seconds", 0.30),
}


def table(figures: Figures) -> str:
    """One line per figure: name, value, target, whether it is reached."""
    lines = []
    for name, value in figures.items():
        target, reached = TARGETS[name](figures) if name in TARGETS else ("", None)
        verdict = {True: "reached", False: "NOT REACHED", None: ""}[reached]
        lines.append(f"{name:40} {value:14,.3f}   {target:10} {verdict}".rstrip())
    return "\n".join(lines)
