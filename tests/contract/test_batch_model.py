"""Whatever a batch does in whatever order, it reads what a plain dictionary would say, and so does the next batch."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from procession.store import Batch, NewServiceCall
from tests.contract import rows
from tests.contract.rows import NOW
from tests.contract.subject import SqliteSubject

CALLS = st.integers(1, 4)
DUES = st.integers(0, 5)
KEYS = st.sampled_from([None, "a", "b"])


class BatchAgainstDictionaries(RuleBasedStateMachine):
    """Timers, service calls, business keys and attributes of two instances, through many batches."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.subject = SqliteSubject(Path(self.folder.name))
        with self.subject.store.begin() as batch:
            self.instances = [rows.add_instance(batch).id for _ in range(2)]
            self.position = rows.append(batch, self.instances[0], rows.requested(1))[0]
            batch.commit()
        self.committed: tuple[dict[tuple[int, int], int], dict[tuple[int, int], int], dict[int, str | None]] = (
            {},
            {},
            dict.fromkeys(self.instances),
        )
        self.begin()

    def begin(self) -> None:
        self.batch: Batch = self.subject.store.begin()
        self.timers, self.services, self.keys = ({**part} for part in self.committed)  # type: ignore[misc]

    @rule(which=st.integers(0, 1), call=CALLS, due=DUES)
    def set_timer(self, which: int, call: int, due: int) -> None:
        key = (self.instances[which], call)
        if key not in self.timers:
            self.batch.timers.add(*key, NOW + due)
            self.timers[key] = NOW + due

    @rule(which=st.integers(0, 1), call=CALLS)
    def remove_timer(self, which: int, call: int) -> None:
        key = (self.instances[which], call)
        if self.timers.pop(key, None) is not None:
            self.batch.timers.remove(*key)

    @rule(which=st.integers(0, 1), call=CALLS, due=DUES)
    def ask_service(self, which: int, call: int, due: int) -> None:
        key = (self.instances[which], call)
        found = self.batch.service_calls.find_open(*key)
        assert (found is None) == (key not in self.services)
        if found is None:
            self.batch.service_calls.add(NewServiceCall(*key, "Team.service", NOW + due, "k", self.position))
        else:
            self.batch.service_calls.change(found.id, due_us=NOW + due, attempts=found.attempts + 1)
        self.services[key] = NOW + due

    @rule(which=st.integers(0, 1), call=CALLS)
    def end_service(self, which: int, call: int) -> None:
        key = (self.instances[which], call)
        found = self.batch.service_calls.find_open(*key)
        if found is not None:
            self.batch.service_calls.remove(found.id)
            del self.services[key]

    @rule(which=st.integers(0, 1), key=KEYS)
    def take_key(self, which: int, key: str | None) -> None:
        # One key is held by one instance, and it is given away only once: an instance gets its key when it is added.
        instance = self.instances[which]
        if key is not None and (key in self.keys.values() or self.keys[instance] is None):
            return
        if key is None:
            self.batch.instances.change(instance, open_key=None)
            self.keys[instance] = None

    @rule(key=st.sampled_from(["a", "b"]))
    def add_holder(self, key: str) -> None:
        if key not in self.keys.values():
            self.keys[rows.add_instance(self.batch, key=key).id] = key

    @rule(key=st.sampled_from(["a", "b"]))
    def end_holder(self, key: str) -> None:
        for instance, held in self.keys.items():
            if held == key:
                self.batch.instances.change(instance, open_key=None, state="completed", ended_us=NOW)
                self.keys[instance] = None

    @rule()
    def write(self) -> None:
        self.batch.write()

    @rule()
    def commit(self) -> None:
        self.batch.commit()
        self.committed = (self.timers, self.services, self.keys)
        self.begin()

    @rule()
    def roll_back(self) -> None:
        self.batch.rollback()
        self.begin()

    @rule()
    def reopen(self) -> None:
        self.batch.rollback()
        self.subject.reopen()
        self.begin()

    @invariant()
    def reads_agree(self) -> None:
        batch = self.batch
        for instance in self.instances:
            timers = {(row.instance, row.call): row.due_us for row in batch.timers.of_instance(instance)}
            assert timers == {key: due for key, due in self.timers.items() if key[0] == instance}
            services = {(row.instance, row.call): row.due_us for row in batch.service_calls.of_instance(instance)}
            assert services == {key: due for key, due in self.services.items() if key[0] == instance}
        due = [(row.due_us, row.instance, row.call) for row in batch.timers.due(NOW + 2, limit=3)]
        assert due == sorted((when, *key) for key, when in self.timers.items() if when <= NOW + 2)[:3]
        assert len(batch.service_calls.due(NOW + 2, limit=3)) == min(
            3, sum(w <= NOW + 2 for w in self.services.values())
        )
        next_due = [row.due_us for row in batch.service_calls.due(2**62, limit=1)]
        assert next_due == sorted(self.services.values())[:1]
        for key in ("a", "b"):
            held = batch.instances.find_open("leave", key)
            assert (None if held is None else held.id) == next((i for i, k in self.keys.items() if k == key), None)

    def teardown(self) -> None:
        if hasattr(self, "subject"):
            self.batch.rollback()
            assert self.subject.check()["chain"].problems == ()
            self.subject.close()
            self.folder.cleanup()


BatchAgainstDictionaries.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestBatchAgainstDictionaries = BatchAgainstDictionaries.TestCase
