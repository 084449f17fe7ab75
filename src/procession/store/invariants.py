"""What must always hold of a store, checked on the store itself: every fault test ends with `check_invariants`, and so does `doctor`.

I1  what was acknowledged is stored            I6  nothing waits without a row that will wake it
I2  sequences without gap, one end             I7  no attempt runs beyond its time without being taken over
I3  a call is requested once and ends once     I12 what has ended owns no open work
I4  effects happen with one key, in time       I13 what was refused changed nothing
I5  replay gives the live state                chain, file: no row was changed, lost or moved; the file is whole

I1, I4, I5, I7 and I13 need evidence from outside the store. An invariant that saw no rows says that it was not exercised.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from procession.errors import StoreDamaged
from procession.kernel.events import Event
from procession.store import schema
from procession.store.chain_check import Found, check_histories, check_items, check_requests
from procession.store.connections import Connection, Connections, SqliteConnections, connect_reader
from procession.store.event_rows import ErasedPayload, decode_event
from procession.store.events import read_history
from procession.store.failures import explained, meaning_of
from procession.store.header import facts
from procession.store.instances import InstanceRow
from procession.store.statements import Prepared, select_where
from procession.store.waits_check import check_waits, leftovers, misplaced_requests, stranded_messages

MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Effect:
    """One attempt as the world outside saw it: for which call, under which key, when it began."""

    instance_uuid: bytes
    call: int
    key: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was refused, with the store's fingerprint before and after it."""

    what: str
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen outside the store; None means that nobody looked."""

    acknowledged: Collection[int | str] | None = None  # numbers of requests, or identifiers of clients
    effects: Sequence[Effect] | None = None
    replay: Callable[[InstanceRow, Sequence[Event]], str | None] | None = None  # says what differs, or None
    refusals: Sequence[Refusal] | None = None
    now_us: int | None = None
    grace_us: int = 60_000_000  # beyond its time that an attempt may take to be given up


@dataclass(frozen=True, slots=True)
class Invariant:
    """One invariant and what was found about it."""

    id: str
    says: str
    exercised: int
    problems: tuple[str, ...]

    @property
    def verdict(self) -> str:
        if self.problems:
            return "broken"
        return "holds" if self.exercised else "not exercised"


@dataclass(frozen=True, slots=True)
class Report:
    """What `check_invariants` found."""

    invariants: tuple[Invariant, ...]

    @property
    def is_sound(self) -> bool:
        return not any(invariant.problems for invariant in self.invariants)

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{invariant.id}: {problem}" for invariant in self.invariants for problem in invariant.problems)

    def __getitem__(self, name: str) -> Invariant:
        return {invariant.id: invariant for invariant in self.invariants}[name]


def check_invariants(
    store: Path | str | Connection, evidence: Evidence | None = None, *, connections: Connections | None = None
) -> Report:
    """Checks a store, by its path or through a connection; reads it in one snapshot and changes nothing."""
    if not isinstance(store, Path | str):
        return Report(tuple(_all(store, evidence or Evidence())))
    path = Path(store).resolve()
    with explained(path):
        try:
            connection = connect_reader(connections or SqliteConnections(), path)
        except Exception as error:
            damage = _damage(error, path)
            return Report((_invariant("file", _WHOLE, damage),))
    try:
        with explained(path):
            connection.execute("BEGIN")
            return Report(tuple(_all(connection, evidence or Evidence())))
    finally:
        connection.close()


def _damage(error: Exception, path: Path) -> Found:
    """What an error says about the file; anything but damage is raised again."""
    meaning = meaning_of(error, path)
    if not isinstance(meaning, StoreDamaged):
        raise error
    return Found(1, [str(error)])


def _attempt(check: Callable[[], Found]) -> Found:
    """A check that stops at a page it cannot read has found something wrong, and the other checks go on."""
    try:
        return check()
    except Exception as error:
        return _damage(error, Path())


def fingerprint(store: Path | str | Connection) -> bytes:
    """A digest of every row of every table: two equal ones mean that nothing was changed in between."""
    if isinstance(store, Path | str):
        connection = connect_reader(SqliteConnections(), Path(store).resolve())
        try:
            return fingerprint(connection)
        finally:
            connection.close()
    whole = sha256()
    for table in schema.metadata.sorted_tables:
        keys = ", ".join(column.name for column in table.primary_key)
        whole.update(table.name.encode())
        for row in store.execute(f"SELECT * FROM {table.name} ORDER BY {keys}"):
            whole.update(repr(row).encode())
    return whole.digest()


_WHOLE = "the file is whole and every row has its owner"


def _all(connection: Connection, evidence: Evidence) -> Iterator[Invariant]:
    chain, sequence, calls = Found(), Found(), Found()

    def histories() -> Found:
        check_histories(connection, chain=chain, sequence=sequence, calls=calls)
        return chain

    for check in (histories, lambda: check_items(connection), lambda: check_requests(connection)):
        found = _attempt(check)
        if found is not chain:
            chain.exercised += found.exercised
            chain.problems.extend(found.problems)
    checks: tuple[tuple[str, str, Callable[[], Found]], ...] = (
        ("file", _WHOLE, lambda: _check_file(connection)),
        ("chain", "no recorded row was changed, lost or moved", lambda: chain),
        ("I1", "what was acknowledged is stored", lambda: _check_acknowledged(connection, evidence)),
        ("I2", "sequences have no gap, and nothing follows an end", lambda: sequence),
        ("I3", "each call is requested once and ends at most once", lambda: calls),
        (
            "I4",
            "effects carry one key a call and do not begin after its result",
            lambda: _check_effects(connection, evidence),
        ),
        ("I5", "replay gives the live state", lambda: _check_replay(connection, evidence)),
        ("I6", "everything that waits has exactly one row that will wake it", lambda: _check_all_waits(connection)),
        ("I7", "no attempt runs beyond its time", lambda: _check_attempts(connection, evidence)),
        ("I12", "what has ended owns no open work", lambda: _check_ended(connection)),
        ("I13", "what was refused changed nothing", lambda: _check_refusals(evidence)),
    )
    for name, says, check in checks:
        yield _invariant(name, says, _attempt(check))


def _invariant(name: str, says: str, found: Found) -> Invariant:
    problems = found.problems
    if len(problems) > MOST_PROBLEMS:
        problems = [*problems[:MOST_PROBLEMS], f"and {len(problems) - MOST_PROBLEMS} more"]
    return Invariant(name, says, found.exercised, tuple(problems))


def integrity_problems(connection: Connection, *, most: int = MOST_PROBLEMS) -> list[str]:
    """What SQLite itself finds wrong with the file's structure."""
    return [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({most})") if row[0] != "ok"]


def _check_file(connection: Connection) -> Found:
    problems = integrity_problems(connection)
    for table, row, owner, _ in connection.execute("PRAGMA foreign_key_check"):
        problems.append(f"row {row} of {table} names a row of {owner} that is not there")
    return Found(1, problems)


def _check_acknowledged(connection: Connection, evidence: Evidence) -> Found:
    found = Found()
    by_number, by_client = select_where(schema.request, "number"), select_where(schema.request, "client_id")
    for name in evidence.acknowledged or ():
        found.exercised += 1
        statement = by_number if isinstance(name, int) else by_client
        if statement.run(connection, name).fetchone() is None:
            found.problems.append(f"request {name} was acknowledged and is not in the store")
    return found


_RESULTS = (
    "SELECT i.uuid, i.name, c.call, r.header, c.header, c.request FROM event c JOIN instance i ON i.id = c.instance "
    "JOIN event r ON r.instance = c.instance AND r.call = c.call AND r.kind = 'CallRequested' "
    "WHERE c.kind IN ('CallCompleted', 'CallFailed')"
)


def _check_effects(connection: Connection, evidence: Evidence) -> Found:
    found = Found()
    if evidence.effects is None:
        return found
    attempts: dict[tuple[bytes, int], list[Effect]] = {}
    for effect in evidence.effects:
        found.exercised += 1
        attempts.setdefault((effect.instance_uuid, effect.call), []).append(effect)
    for (_, call), made in attempts.items():
        if len({effect.key for effect in made}) > 1:
            found.problems.append(f"the attempts of call {call} of an instance carried different keys")
    for uuid, name, call, requested, result, request in connection.execute(_RESULTS):
        if facts(requested).get("call_kind") != "service":
            continue
        made = attempts.get((uuid, call), [])
        # A result under a request was given by hand: there need not have been an attempt.
        if not made and request is None:
            found.problems.append(f"{name}, call {call} has a result and no attempt was seen")
        if any(effect.at_us > facts(result).get("at", 0) for effect in made):
            found.problems.append(f"{name}, call {call} was attempted after its result was recorded")
    return found


def _check_replay(connection: Connection, evidence: Evidence) -> Found:
    found = Found()
    if evidence.replay is None:
        return found
    instances = Prepared(schema.instance.select().order_by(schema.instance.c.id))
    for instance in [InstanceRow(*values) for values in instances.run(connection)]:
        try:
            events = [decode_event(row) for row in read_history(connection, instance.id)]
        except ErasedPayload:
            continue  # only ended instances lose their values, and they are not replayed
        except StoreDamaged as damage:
            found.problems.append(f"{instance.name}: {damage.message}")
            continue
        found.exercised += 1
        difference = evidence.replay(instance, events)
        if difference is not None:
            found.problems.append(f"{instance.name}: {difference}")
    return found


def _check_all_waits(connection: Connection) -> Found:
    found = Found(problems=[*misplaced_requests(connection), *stranded_messages(connection)])
    after: int | None = 0
    while after is not None:
        page = check_waits(connection, after=after)
        found.exercised += page.waits
        found.problems.extend(page.problems)
        after = page.last
    return found


def _check_attempts(connection: Connection, evidence: Evidence) -> Found:
    found = Found()
    if evidence.now_us is None:
        return found
    for row, due_us in connection.execute("SELECT id, due_us FROM service_call WHERE state = 'running'"):
        found.exercised += 1
        if due_us + evidence.grace_us < evidence.now_us:
            found.problems.append(f"service call {row} should have been over and nobody took it over")
    return found


def _check_ended(connection: Connection) -> Found:
    ended = int(connection.execute("SELECT count(*) FROM instance WHERE ended_us IS NOT NULL").fetchone()[0])
    return Found(ended, list(leftovers(connection)))


def _check_refusals(evidence: Evidence) -> Found:
    refusals: Iterable[Refusal] = evidence.refusals or ()
    changed = [
        f"{refusal.what} was refused and changed the store" for refusal in refusals if refusal.before != refusal.after
    ]
    return Found(len(list(refusals)), changed)
