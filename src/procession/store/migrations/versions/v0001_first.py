"""The first schema.

Revision: 0001, after nothing
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes all tables."""
    _create_release()
    _create_source()
    _create_store_meta()
    _create_instance()
    _create_site()
    _create_attribute()
    _create_event()
    _create_request()
    _create_timer()
    _create_waiting_event()
    _create_delivery()
    _create_external_call()
    _create_message()
    _create_receive()
    _create_service_call()
    _create_work_item()
    _create_work_item_event()


def _where(condition: Any) -> dict[str, Any]:
    return {"sqlite_where": condition, "postgresql_where": condition}


def _create_release() -> None:
    op.create_table(
        "release",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("first_used_us", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
        sqlite_strict=True,
    )


def _create_source() -> None:
    op.create_table(
        "source",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_store_meta() -> None:
    op.create_table(
        "store_meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("uuid", sa.LargeBinary(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("business_key", sa.Text(), nullable=True),
        sa.Column("open_key", sa.Text(), nullable=True),
        sa.Column("key_forever", WHOLE, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("initiator", sa.Text(), nullable=False),
        sa.Column("release", WHOLE, autoincrement=False, nullable=False),
        sa.Column("started_us", WHOLE, nullable=False),
        sa.Column("ended_us", WHOLE, nullable=True),
        sa.Column("now_us", WHOLE, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("generation", WHOLE, nullable=False),
        sa.Column("input_digest", sa.LargeBinary(), nullable=False),
        sa.Column("halt", sa.Text(), nullable=True),
        sa.Column("cancelling_us", WHOLE, nullable=True),
        sa.Column("suspended", sa.Text(), nullable=True),
        sa.Column("renewed_seq", WHOLE, nullable=False),
        sa.Column("not_undone", sa.Text(), nullable=True),
        sa.Column("parent", WHOLE, autoincrement=False, nullable=True),
        sa.Column("parent_call", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["parent"], ["instance.id"]),
        sa.ForeignKeyConstraint(["release"], ["release.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("process", "number"),
        sa.UniqueConstraint("uuid"),
        sqlite_strict=True,
    )
    op.create_index(
        "instance_business_key",
        "instance",
        ["process", "business_key", "id"],
        unique=False,
        **_where(sa.text("business_key IS NOT NULL")),
    )
    undone = _where(sa.text("not_undone IS NOT NULL"))
    op.create_index("instance_not_undone", "instance", ["id"], unique=False, **undone)
    cancelling = _where(sa.text("cancelling_us IS NOT NULL AND ended_us IS NULL"))
    op.create_index("instance_cancelling", "instance", ["cancelling_us"], unique=False, **cancelling)
    op.create_index(
        "instance_open_key", "instance", ["process", "open_key"], unique=True, **_where(sa.text("open_key IS NOT NULL"))
    )
    has_parent = _where(sa.text("parent IS NOT NULL"))
    op.create_index("instance_parent", "instance", ["parent", "ended_us", "parent_call"], unique=False, **has_parent)
    op.create_index("instance_process_state", "instance", ["process", "state", "id"], unique=False)
    op.create_index("instance_state", "instance", ["state", "id"], unique=False)


def _create_site() -> None:
    op.create_table(
        "site",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("release", WHOLE, autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("frames", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["release.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("release", "digest"),
        sqlite_strict=True,
    )


def _create_attribute() -> None:
    op.create_table(
        "attribute",
        sa.Column("instance", WHOLE, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["instance"], ["instance.id"]),
        sa.PrimaryKeyConstraint("instance", "name"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_event() -> None:
    op.create_table(
        "event",
        sa.Column("position", WHOLE, autoincrement=False, nullable=False),
        sa.Column("instance", WHOLE, autoincrement=False, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("call", WHOLE, nullable=True),
        sa.Column("request", WHOLE, nullable=True),
        sa.Column("format", WHOLE, nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["instance"], ["instance.id"]),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("instance", "seq"),
        sqlite_strict=True,
    )


def _create_request() -> None:
    op.create_table(
        "request",
        sa.Column("number", WHOLE, autoincrement=False, nullable=False),
        sa.Column("instance", WHOLE, autoincrement=False, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at_us", WHOLE, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("input_digest", sa.LargeBinary(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("format", WHOLE, nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["instance"], ["instance.id"]),
        sa.PrimaryKeyConstraint("number"),
        sqlite_strict=True,
    )
    op.create_index(
        "request_client_id", "request", ["client_id"], unique=True, **_where(sa.text("client_id IS NOT NULL"))
    )


def _create_timer() -> None:
    op.create_table(
        "timer",
        sa.Column("instance", WHOLE, autoincrement=False, nullable=False),
        sa.Column("call", WHOLE, autoincrement=False, nullable=False),
        sa.Column("due_us", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["instance"], ["instance.id"]),
        sa.PrimaryKeyConstraint("instance", "call"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("timer_due", "timer", ["due_us"], unique=False)


def _create_waiting_event() -> None:
    op.create_table(
        "waiting_event",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("instance", WHOLE, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("call", WHOLE, nullable=True),
        sa.Column("at_us", WHOLE, nullable=False),
        sa.Column("format", WHOLE, nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["instance"], ["instance.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("waiting_event_instance", "waiting_event", ["instance", "id"], unique=False)


def _create_external_call() -> None:
    op.create_table(
        "external_call",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("instance", WHOLE, autoincrement=False, nullable=False),
        sa.Column("call", WHOLE, nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until_us", WHOLE, nullable=False),
        sa.Column("fencing", WHOLE, nullable=False),
        sa.Column("attempts", WHOLE, nullable=False),
        sa.Column("most_attempts", WHOLE, nullable=False),
        sa.Column("requested_us", WHOLE, nullable=False),
        sa.Column("due_us", WHOLE, nullable=True),
        sa.Column("requested_position", WHOLE, autoincrement=False, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["instance"], ["instance.id"]),
        sa.ForeignKeyConstraint(["requested_position"], ["event.position"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("instance", "call"),
        sqlite_strict=True,
    )
    op.create_index("external_call_operation", "external_call", ["operation", "id"], unique=False)
    spent = _where(sa.text("attempts >= most_attempts"))
    op.create_index("external_call_attention", "external_call", ["lease_until_us"], unique=False, **spent)


def _create_message() -> None:
    op.create_table(
        "message",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("uuid", sa.LargeBinary(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("published_us", WHOLE, nullable=False),
        sa.Column("expires_us", WHOLE, nullable=False),
        sa.Column("sender", WHOLE, autoincrement=False, nullable=True),
        sa.Column("sent_by", sa.Text(), nullable=False),
        sa.Column("taken", WHOLE, nullable=False),
        sa.Column("chain", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["sender"], ["instance.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
        sqlite_strict=True,
    )
    kept = _where(sa.text("state = 'kept'"))
    op.create_index("message_kept", "message", ["type", "key", "id"], unique=False, **kept)
    op.create_index("message_expiry", "message", ["expires_us"], unique=False, **kept)


def _create_receive() -> None:
    op.create_table(
        "receive",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("instance", WHOLE, autoincrement=False, nullable=False),
        sa.Column("call", WHOLE, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=True),
        sa.Column("since_us", WHOLE, nullable=False),
        sa.Column("requested_position", WHOLE, autoincrement=False, nullable=False),
        sa.Column("message", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["instance"], ["instance.id"]),
        sa.ForeignKeyConstraint(["requested_position"], ["event.position"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("instance", "call"),
        sqlite_strict=True,
    )
    waiting, reserved = _where(sa.text("message IS NULL")), _where(sa.text("message IS NOT NULL"))
    op.create_index("receive_waiting", "receive", ["type", "key", "id"], unique=False, **waiting)
    op.create_index("receive_message", "receive", ["message"], unique=False, **reserved)


def _create_delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("origin", WHOLE, autoincrement=False, nullable=False),
        sa.Column("target", WHOLE, autoincrement=False, nullable=True),
        sa.Column("call", WHOLE, nullable=True),
        sa.Column("position", WHOLE, autoincrement=False, nullable=False),
        sa.Column("at_us", WHOLE, nullable=False),
        sa.Column("chain", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["origin"], ["instance.id"]),
        sa.ForeignKeyConstraint(["position"], ["event.position"]),
        sa.ForeignKeyConstraint(["target"], ["instance.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("delivery_origin", "delivery", ["origin", "call"], unique=False)
    there = _where(sa.text("target IS NOT NULL"))
    op.create_index("delivery_target", "delivery", ["target"], unique=False, **there)


def _create_service_call() -> None:
    op.create_table(
        "service_call",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("instance", WHOLE, autoincrement=False, nullable=False),
        sa.Column("call", WHOLE, nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", WHOLE, nullable=False),
        sa.Column("round_attempts", WHOLE, nullable=False),
        sa.Column("due_us", WHOLE, nullable=False),
        sa.Column("fencing", WHOLE, nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("requested_position", WHOLE, autoincrement=False, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["instance"], ["instance.id"]),
        sa.ForeignKeyConstraint(["requested_position"], ["event.position"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("instance", "call"),
        sqlite_strict=True,
    )
    op.create_index("service_call_state", "service_call", ["state", "due_us", "id"], unique=False)


def _create_work_item() -> None:
    op.create_table(
        "work_item",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("uuid", sa.LargeBinary(), nullable=False),
        sa.Column("instance", WHOLE, autoincrement=False, nullable=False),
        sa.Column("call", WHOLE, nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("function", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("requested_us", WHOLE, nullable=False),
        sa.Column("due_us", WHOLE, nullable=True),
        sa.Column("started_us", WHOLE, nullable=True),
        sa.Column("ended_us", WHOLE, nullable=True),
        sa.Column("performer", sa.Text(), nullable=True),
        sa.Column("requested_position", WHOLE, autoincrement=False, nullable=False),
        sa.Column("draft", sa.LargeBinary(), nullable=True),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["instance"], ["instance.id"]),
        sa.ForeignKeyConstraint(["requested_position"], ["event.position"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
        sqlite_strict=True,
    )
    op.create_index("work_item_call", "work_item", ["instance", "call"], unique=False)
    op.create_index(
        "work_item_due",
        "work_item",
        ["due_us", "id"],
        unique=False,
        **_where(sa.text("due_us IS NOT NULL AND ended_us IS NULL")),
    )
    op.create_index(
        "work_item_held",
        "work_item",
        ["holder", "id"],
        unique=False,
        **_where(sa.text("holder IS NOT NULL AND ended_us IS NULL")),
    )
    op.create_index(
        "work_item_offered", "work_item", ["role", "id"], unique=False, **_where(sa.text("state = 'offered'"))
    )


def _create_work_item_event() -> None:
    op.create_table(
        "work_item_event",
        sa.Column("position", WHOLE, autoincrement=False, nullable=False),
        sa.Column("item", WHOLE, autoincrement=False, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at_us", WHOLE, nullable=False),
        sa.Column("request", WHOLE, nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("format", WHOLE, nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["item"], ["work_item.id"]),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("item", "seq"),
        sqlite_strict=True,
    )
    op.create_index(
        "work_item_event_failed", "work_item_event", ["item"], unique=False, **_where(sa.text("kind = 'body failed'"))
    )
