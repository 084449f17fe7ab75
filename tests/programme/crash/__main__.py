"""`python -m tests.programme.crash` kills at every moment of every scenario and prints what was exercised, for people."""

from __future__ import annotations

import time
from collections import Counter

from tests.programme.crash.cases import fork_server, moments
from tests.programme.crash.scripts import SCENARIOS


def main() -> None:
    with fork_server() as cases:
        for name in SCENARIOS:
            sound = cases.sound(name)
            chosen = moments(sound.points)
            by_kind: Counter[str] = Counter()
            exercised: Counter[str] = Counter()
            broken = 0
            began = time.perf_counter()
            for number in chosen:
                result = cases.run(name, [number])
                by_kind[sound.points[number - 1]] += result.killed
                exercised += result.exercised
                broken += bool(result.against(sound))
            seconds = time.perf_counter() - began
            kills = by_kind.total()
            print(
                f"\n{name}: {len(sound.points)} points, {kills} kills, {broken} broken, {seconds:.1f} s ({kills / seconds:.0f} a second)"
            )
            print(
                "  rows looked at: "
                + ", ".join(f"{invariant} {count}" for invariant, count in sorted(exercised.items()))
            )
            for point, count in sorted(by_kind.items()):
                print(f"  {count:4} × {point}")


if __name__ == "__main__":
    main()
