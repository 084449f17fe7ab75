"""A thousand random programs replay after every event to the same commands, whatever the hash seed, the addresses, the collector.

`PROCESSION_PROGRAMS` sets another number; `make test-long` runs 5,000.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.drive import asyncio_replaced
from tests.programme.planted import BUGS
from tests.programme.programs import INNER, LEAVES, Node, draw, explore

ROOT = Path(__file__).parents[2]
PROGRAMS = int(os.environ.get("PROCESSION_PROGRAMS", "1000"))
CHUNKS = 8


def differences(first: int, count: int) -> tuple[list[str], Counter[str], int]:
    with asyncio_replaced():
        explored = explore(first, count)
    found = [f"seed {each.seed}: {each.differences[0]}" for each in explored if each.differences]
    return found, Counter(each.state for each in explored), sum(each.replays for each in explored)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_programs_replay_after_every_event_to_the_same_commands(chunk: int) -> None:
    count = PROGRAMS // CHUNKS
    found, states, replays = differences(chunk * count, count)
    assert found == []
    assert replays > 5 * count
    # Most must come to an end of their own, or the programs exercise little.
    assert states["halted"] < 0.1 * count
    assert states["completed"] > 0.2 * count


@pytest.mark.long
@pytest.mark.parametrize("chunk", range(10))
def test_many_more_random_programs_replay_to_the_same_commands(chunk: int) -> None:
    found, _, _ = differences(100_000 + chunk * 400, 400)
    assert found == []


def in_a_fresh_interpreter(
    first: int, count: int, *, hash_seed: int, threshold: int = 0, bug: str = ""
) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.programme.planted", str(first), str(count), str(threshold)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(["src", *sys.path])}
    done = subprocess.run(
        command + [bug] * bool(bug), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.slow
def test_histories_are_the_same_under_every_hash_seed_and_with_the_collector_running_all_the_time() -> None:
    count = max(50, PROGRAMS // 20)
    runs = [in_a_fresh_interpreter(0, count, hash_seed=seed) for seed in (0, 1, 4242)]
    runs.append(in_a_fresh_interpreter(0, count, hash_seed=7, threshold=1))
    assert [each["differing"] for each in runs] == [[], [], [], []]
    assert len({each["digest"] for each in runs}) == 1


@pytest.mark.long
@pytest.mark.parametrize(("hash_seed", "threshold"), [(0, 0), (1, 0), (2, 1), (3, 700), (4242, 1)])
def test_a_thousand_programs_agree_under_each_hash_seed_and_collector(hash_seed: int, threshold: int) -> None:
    here = in_a_fresh_interpreter(0, 1_000, hash_seed=hash_seed, threshold=threshold)
    assert here["differing"] == []
    assert here["digest"] == in_a_fresh_interpreter(0, 1_000, hash_seed=99)["digest"]


@pytest.mark.slow
@pytest.mark.parametrize("bug", sorted(BUGS))
def test_a_planted_bug_is_found(bug: str) -> None:
    """A test that finds no planted bug does not count."""
    assert in_a_fresh_interpreter(0, 60, hash_seed=1, bug=bug)["differing"] != []


def kinds(node: Node) -> Counter[str]:
    return sum((kinds(part) for part in node.parts), Counter([node.kind]))


def test_every_construct_is_drawn_often_alone_and_inside_every_other() -> None:
    """Count what was exercised: a zero is a failure."""
    drawn: Counter[str] = Counter()
    pairs: set[tuple[str, str]] = set()

    def visit(node: Node) -> None:
        for part in node.parts:
            pairs.add((node.kind, part.kind))
            visit(part)

    for seed in range(1_000):
        tree = draw(seed)
        drawn += kinds(tree)
        visit(tree)
    assert min(drawn[kind] for kind in (*INNER, *LEAVES)) >= 50
    missing = {(outer, inner) for outer in INNER for inner in (*INNER, *LEAVES)} - pairs
    assert len(missing) < 0.02 * len(INNER) * (len(INNER) + len(set(LEAVES)))
