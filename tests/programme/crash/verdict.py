"""What must hold of a case, after the crash and at the end: the invariants, the ledgers of the world outside, the outcome.

The ledgers are simple and share no code with the engine. The outcome is the whole store without what differs from run to
run: times, keys drawn by chance, numbers that depend on the order in which concurrent results came.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from procession.language.registry import Registry
from procession.store.invariants import Effect, Evidence, Refusal, Report, check_invariants
from tests.programme.crash.live import differs_from_replay
from tests.programme.crash.world import World

Step = tuple[bytes, int]  # uuid of the instance, number of the call


@dataclass(slots=True)
class Verdict:
    """What was found, how often each invariant was exercised, and the outcome."""

    problems: list[str] = field(default_factory=list)
    exercised: Counter[str] = field(default_factory=Counter)
    outcome: list[str] = field(default_factory=list)


def judge(world: World, registry: Registry, *, ended: bool, refusals: Sequence[Refusal] = ()) -> Verdict:
    """Look at a copy of what is on the disk now; `ended` where the script has come to its end."""
    verdict = Verdict([f"the engine's log: {entry['said']} {entry['error']}" for entry in world.errors.entries()])
    copy = _copy_of(world)
    if copy is None:
        if world.answers.entries() or ended:
            verdict.problems.append("there is no store")
        return verdict
    with world.looking():
        connection = sqlite3.connect(copy, isolation_level=None)
        try:
            _look(world, registry, connection, refusals, verdict)
            if ended:
                verdict.outcome = list(_outcome_of(connection))
        finally:
            connection.close()
    return verdict


def _look(
    world: World, registry: Registry, connection: sqlite3.Connection, refusals: Sequence[Refusal], verdict: Verdict
) -> None:
    steps = _steps(connection)
    report = _invariants(world, registry, connection, refusals, steps)
    verdict.problems.extend(report.problems)
    for invariant in report.invariants:
        verdict.exercised[invariant.id] += invariant.exercised
    verdict.problems.extend(_broken_promises(world, connection))
    verdict.problems.extend(_wrong_effects(world, connection, steps))


def _copy_of(world: World) -> Path | None:
    """The store's files as the process left them, so that looking at them changes nothing; None before there is a store."""
    copy = world.folder / "copy.db"
    for suffix in ("", "-wal"):
        source, target = Path(f"{world.store}{suffix}"), Path(f"{copy}{suffix}")
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, target)
    Path(f"{copy}-shm").unlink(missing_ok=True)
    if not copy.exists():
        return None
    connection = sqlite3.connect(copy)
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        connection.close()
    return copy if tables else None


def _steps(connection: sqlite3.Connection) -> dict[str, Step]:
    """Every step that a service was durably asked for: what the outside system calls it, and which call that is."""
    found: dict[str, Step] = {}
    rows = connection.execute(
        "SELECT i.uuid, e.call, e.header, e.payload FROM event e JOIN instance i ON i.id = e.instance "
        "WHERE e.kind = 'CallRequested'"
    )
    for uuid, call, header, payload in rows:
        says = json.loads(header)
        if says["call_kind"] == "service":
            name = str(says["operation"]).rpartition(".")[2]
            (argument,) = json.loads(payload).values()
            assert f"{name} {argument}" not in found, "the scripts ask for each step once"
            found[f"{name} {argument}"] = (uuid, call)
    return found


def _invariants(
    world: World,
    registry: Registry,
    connection: sqlite3.Connection,
    refusals: Sequence[Refusal],
    steps: dict[str, Step],
) -> Report:
    effects = [
        Effect(*steps[entry["step"]], entry["key"], entry["at_us"])
        for entry in world.effects.entries()
        if entry["step"] in steps
    ]
    evidence = Evidence(
        acknowledged=[entry["name"] for entry in world.answers.entries()],
        effects=effects,
        replay=lambda row, events: differs_from_replay(registry, row, events),
        refusals=refusals,
        now_us=world.clock.monotonic_us(),
    )
    return check_invariants(connection, evidence)


def _broken_promises(world: World, connection: sqlite3.Connection) -> Iterator[str]:
    """What clients were told must stand in the store, and the same order must always have been answered the same."""
    told: dict[str, str] = {}
    for answer in world.answers.entries():
        if told.setdefault(answer["name"], answer["instance"]) != answer["instance"]:
            yield f"{answer['name']} was answered {told[answer['name']]}, then {answer['instance']}"
    for name, instance in told.items():
        found = connection.execute(
            "SELECT i.name FROM request r LEFT JOIN instance i ON i.id = r.instance WHERE r.client_id = ?", (name,)
        ).fetchone()
        if found != (instance,):
            yield f"{name} was acknowledged for {instance}, and the store has {found}"


def _wrong_effects(world: World, connection: sqlite3.Connection, steps: dict[str, Step]) -> Iterator[str]:
    """Nothing is attempted before it is durably asked for and counted, and all attempts at a step carry one key."""
    attempts: Counter[str] = Counter()
    keys: dict[str, set[str]] = {}
    for entry in world.effects.entries():
        attempts[entry["step"]] += 1
        keys.setdefault(entry["step"], set()).add(entry["key"])
    for step, seen in keys.items():
        if len(seen) > 1:
            yield f"{step} was attempted under {len(seen)} keys"
        if step not in steps:
            yield f"{step} was attempted, and no store says that anybody asked for it"
            continue
        uuid, call = steps[step]
        row = connection.execute(
            "SELECT s.attempts, s.idempotency_key FROM service_call s JOIN instance i ON i.id = s.instance "
            "WHERE i.uuid = ? AND s.call = ?",
            (uuid, call),
        ).fetchone()
        if row is not None and row[0] < attempts[step]:
            yield f"{step} was attempted {attempts[step]} times, and the store counts {row[0]}"
        if row is not None and {row[1]} != seen:
            yield f"{step} was attempted under a key that is not the call's"
    late = connection.execute(
        "SELECT count(*) FROM event WHERE kind = 'TimerFired' AND header ->> 'due' > header ->> 'at'"
    )
    if late.fetchone()[0]:
        yield "a timer fired before it was due"


def _outcome_of(connection: sqlite3.Connection) -> Iterator[str]:
    """Every row of the store that tells what happened, in an order that does not depend on that of concurrent results."""
    calls = _names_of_calls(connection)
    rows: list[tuple[Any, ...]] = []
    for row in connection.execute(
        "SELECT name, process, title, business_key, open_key, state, initiator, halt FROM instance"
    ):
        rows.append(("instance", *row))
    for row in connection.execute(
        "SELECT i.name, a.name, a.value FROM attribute a JOIN instance i ON i.id = a.instance"
    ):
        rows.append(("attribute", *row))
    events = "SELECT i.name, e.kind, e.call, e.payload, e.header FROM event e JOIN instance i ON i.id = e.instance"
    for name, kind, call, payload, header in connection.execute(events):
        says = json.loads(header)
        facts = [
            says.get(fact) for fact in ("operation", "performer", "by_program", "type", "declared", "code", "kept")
        ]
        rows.append(("event", name, kind, calls.get((name, call)), _stable(kind, payload), *facts))
    for row in connection.execute(
        "SELECT i.name, w.call, w.operation, w.function, w.title, w.role, w.state, w.holder, w.version, w.performer, w.draft, "
        "(SELECT group_concat(kind || ' by ' || actor || coalesce(reason, '') || coalesce(payload, '')) FROM "
        "(SELECT * FROM work_item_event e WHERE e.item = w.id ORDER BY seq)) FROM work_item w JOIN instance i ON i.id = w.instance"
    ):
        rows.append(("item", row[0], calls.get((row[0], row[1])), *row[2:]))
    for row in connection.execute(
        "SELECT i.name, r.kind, r.actor, r.reason, r.client_id, r.outcome FROM request r LEFT JOIN instance i ON i.id = r.instance "
        # How often an outside program comes by, and under which number it has its work, is chance.
        "WHERE r.actor <> 'robot'"
    ):
        rows.append(("request", *row))
    for row in connection.execute("SELECT type, key, payload, state, sent_by, taken FROM message"):
        rows.append(("message", *row))
    for row in connection.execute(
        "SELECT i.name, o.name, i.parent_call FROM instance i JOIN instance o ON o.id = i.parent"
    ):
        rows.append(("child", row[0], row[1], calls.get((row[1], row[2]))))
    for row in connection.execute("SELECT d.kind, i.name, d.call FROM delivery d JOIN instance i ON i.id = d.origin"):
        rows.append(("delivery", *row))
    for table in ("timer", "service_call", "external_call", "receive", "waiting_event"):
        for row in connection.execute(f"SELECT i.name, t.call FROM {table} t JOIN instance i ON i.id = t.instance"):
            rows.append((table, calls.get((row[0], row[1]))))
    yield from sorted(map(repr, rows))


def _stable(kind: str, payload: bytes | None) -> bytes | None:
    """A halt's payload has line numbers of whoever ran the script; its first line is the message."""
    return payload.partition(b"\n")[0] if payload is not None and kind == "InstanceHalted" else payload


def _names_of_calls(connection: sqlite3.Connection) -> dict[tuple[str, int], str]:
    """Calls by what they are, since their numbers depend on the order in which concurrent results came."""
    names: dict[tuple[str, int], str] = {}
    used: Counter[tuple[str, str]] = Counter()
    for name, call, header, payload in connection.execute(
        "SELECT i.name, e.call, e.header, e.payload FROM event e JOIN instance i ON i.id = e.instance "
        "WHERE e.kind = 'CallRequested' ORDER BY i.id, e.seq"
    ):
        what = f"{json.loads(header)['operation']} {payload!r}"
        used[name, what] += 1
        names[name, call] = f"{what} #{used[name, what]}"
    return names
