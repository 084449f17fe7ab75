"""Begins an instance: its row, its secret, and its first advance."""

import os

from procession.engine.advance import Advance
from procession.engine.contract import NewInstance
from procession.engine.turn import Turn
from procession.kernel import InstanceStarted
from procession.language.process import input_digest
from procession.store.identifiers import new_uuid7
from procession.store.instances import InstanceRow
from procession.store.instances import NewInstance as NewInstanceRow


def begin_instance(turn: Turn, advance: Advance, new: NewInstance, now_us: int) -> InstanceRow:
    """Add an instance and run it to its first wait; gives its row as it was before that."""
    secret = os.urandom(32)
    row = turn.batch.instances.add(
        NewInstanceRow(
            uuid=new_uuid7(now_us),
            process=new.process.name,
            title=new.title,
            business_key=new.business_key,
            open_key=new.business_key,
            key_forever=new.process.key_forever,
            initiator=new.initiator,
            release=advance.release,
            started_us=now_us,
            secret=secret,
            input_digest=input_digest(secret, new.input),
            parent=new.parent,
            parent_call=new.parent_call,
        )
    )
    advance.start(turn, row, InstanceStarted(now_us, new.input))
    return row
