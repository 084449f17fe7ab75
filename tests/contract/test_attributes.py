"""Attributes of an instance: set, replaced, removed, in one batch or over several."""

from pathlib import Path

from procession.store import OpenOptions, open_store
from procession.store.instances import NewInstance


def new_instance() -> NewInstance:
    return NewInstance(
        uuid=bytes(16),
        process="leave",
        title="leave",
        business_key=None,
        open_key=None,
        initiator="ann",
        release=1,
        started_us=1,
        secret=bytes(32),
        input_digest=bytes(16),
    )


def test_an_attribute_that_is_set_to_nothing_is_gone_for_the_batch_and_for_readers(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db", OpenOptions(synchronous="OFF")) as store:
        with store.begin() as batch:
            batch.releases.keep(bytes(32), "{}", {}, now_us=1)
            number = batch.instances.add(new_instance()).id
            batch.instances.set_attributes(number, {"city": '"Delft"', "urgent": "true"})
            batch.commit()
        with store.begin() as batch:
            batch.instances.set_attributes(number, {"city": "null"})
            seen_in_batch = batch.instances.attributes(number)
            batch.commit()
        with store.readers.snapshot() as view:
            seen_by_reader = view.instances.attributes(number)

    assert seen_in_batch == seen_by_reader == {"urgent": "true"}
