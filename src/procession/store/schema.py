"""The tables of a store, drawn once: every statement and every migration is checked against this file.

What is history and what is a row: `event`, `work_item_event` and `request` are chained and never rewritten; the others hold
the present. Identifiers inside the store are integers given by the writer; `position` is one counter for `event` and
`work_item_event`, growing in commit order. Times are microseconds since the epoch, UTC. JSON is text.
"""

from typing import TypeAlias

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.sql.elements import TextClause

APPLICATION_ID = 0x50524F43  # "PROC", in the header of the file: `file(1)` and we know our own
SCHEMA_VERSION = 1  # `PRAGMA user_version`; the newest revision under migrations/
REVISION_TABLE = "schema_revision"

# SQLite's INTEGER holds 64 bits, and only a key of that type is the row's own identifier.
WHOLE = BigInteger().with_variant(Integer, "sqlite")
TEXT = Text()
BYTES = LargeBinary()

metadata = MetaData()


Part: TypeAlias = Column[int] | Column[str] | Column[bytes] | UniqueConstraint


def _table(name: str, *parts: Part, by_rowid: bool = True) -> Table:
    # STRICT: SQLite otherwise stores a text in an integer column and says nothing.
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=by_rowid)


def _whole(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, WHOLE, nullable=null)


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, TEXT, nullable=null)


def _bytes(name: str, *, null: bool = False) -> Column[bytes]:
    return Column(name, BYTES, nullable=null)


def _key(name: str) -> Column[int]:
    return Column(name, WHOLE, primary_key=True, autoincrement=False)


def _reference(name: str, target: str, *, null: bool = False, primary_key: bool = False) -> Column[int]:
    return Column(name, WHOLE, ForeignKey(target), nullable=null, primary_key=primary_key, autoincrement=False)


def _index(name: str, table: Table, *columns: str, unique: bool = False, where: str | None = None) -> Index:
    condition: TextClause | None = None if where is None else text(where)
    parts = [table.c[column] for column in columns]
    if condition is None:
        return Index(name, *parts, unique=unique)
    return Index(name, *parts, unique=unique, sqlite_where=condition, postgresql_where=condition)


store_meta = _table("store_meta", Column("key", TEXT, primary_key=True), _text("value"), by_rowid=False)

schema_revision = Table(
    REVISION_TABLE,
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{REVISION_TABLE}_pkc"),
)

release = _table(
    "release",
    _key("id"),
    Column("digest", BYTES, nullable=False, unique=True),
    _text("manifest"),
    _whole("first_used_us"),
)

source = _table("source", Column("digest", BYTES, primary_key=True), _text("text"), by_rowid=False)

site = _table(
    "site",
    _key("id"),
    _reference("release", "release.id"),
    _bytes("digest"),
    _text("frames"),
    UniqueConstraint("release", "digest"),
)

instance = _table(
    "instance",
    _key("id"),
    Column("uuid", BYTES, nullable=False, unique=True),
    _text("process"),
    _whole("number"),
    Column("name", TEXT, nullable=False, unique=True),
    _text("title"),
    _text("business_key", null=True),
    _text("open_key", null=True),  # the business key while it is taken
    _whole("key_forever"),  # 1: taken after the end too, by what the process said at the start
    _text("state"),
    _text("initiator"),
    _reference("release", "release.id"),
    _whole("started_us"),
    _whole("ended_us", null=True),
    _whole("now_us"),
    _whole("seq"),
    _bytes("head"),  # hash of the last event
    _bytes("secret", null=True),  # seed and key of the input digests; erased with the last payload
    _whole("generation"),
    _bytes("input_digest"),
    _text("halt", null=True),
    _whole("cancelling_us", null=True),  # since when it is to be cancelled
    _text("suspended", null=True),  # since when, and how, while it is suspended
    _whole("renewed_seq"),  # the event at which its replay begins: the last `Renewed`, else 0
    _text("not_undone", null=True),  # what could not be undone, for people to look at
    _reference("parent", "instance.id", null=True),  # of a child: whose call it is
    _whole("parent_call", null=True),
    UniqueConstraint("process", "number"),
)
_index("instance_open_key", instance, "process", "open_key", unique=True, where="open_key IS NOT NULL")
_index("instance_business_key", instance, "process", "business_key", "id", where="business_key IS NOT NULL")
_index("instance_state", instance, "state", "id")
_index("instance_not_undone", instance, "id", where="not_undone IS NOT NULL")
_index("instance_cancelling", instance, "cancelling_us", where="cancelling_us IS NOT NULL AND ended_us IS NULL")
_index("instance_process_state", instance, "process", "state", "id")
_index("instance_parent", instance, "parent", "ended_us", "parent_call", where="parent IS NOT NULL")

attribute = _table(
    "attribute",
    _reference("instance", "instance.id", primary_key=True),
    Column("name", TEXT, primary_key=True),
    _text("value"),
    by_rowid=False,
)

event = _table(
    "event",
    _key("position"),
    _reference("instance", "instance.id"),
    _whole("seq"),
    _text("kind"),
    _whole("call", null=True),
    _whole("request", null=True),
    _whole("format"),
    _bytes("header"),
    _bytes("payload", null=True),
    _bytes("salt", null=True),
    _bytes("digest", null=True),
    _bytes("hash"),
    UniqueConstraint("instance", "seq"),
)

request = _table(
    "request",
    _key("number"),
    _reference("instance", "instance.id", null=True),
    _text("kind"),
    _text("actor"),
    _text("reason", null=True),
    _whole("at_us"),
    _text("client_id", null=True),
    _bytes("input_digest", null=True),
    _text("outcome"),
    _whole("format"),
    _bytes("salt", null=True),
    _bytes("digest", null=True),
    _bytes("hash"),
)
_index("request_client_id", request, "client_id", unique=True, where="client_id IS NOT NULL")

work_item = _table(
    "work_item",
    _key("id"),
    Column("uuid", BYTES, nullable=False, unique=True),
    _reference("instance", "instance.id"),
    _whole("call"),
    _text("operation"),
    _text("function"),
    _text("title"),
    _text("role"),
    _text("state"),
    _text("holder", null=True),
    _whole("version"),
    _whole("requested_us"),
    _whole("due_us", null=True),
    _whole("started_us", null=True),
    _whole("ended_us", null=True),
    _text("performer", null=True),
    _reference("requested_position", "event.position"),  # the event row that holds the input
    _bytes("draft", null=True),
    _whole("seq"),
    _bytes("head"),
)
_index("work_item_call", work_item, "instance", "call")
_index("work_item_offered", work_item, "role", "id", where="state = 'offered'")
_index("work_item_held", work_item, "holder", "id", where="holder IS NOT NULL AND ended_us IS NULL")
_index("work_item_due", work_item, "due_us", "id", where="due_us IS NOT NULL AND ended_us IS NULL")

work_item_event = _table(
    "work_item_event",
    _key("position"),
    _reference("item", "work_item.id"),
    _whole("seq"),
    _text("kind"),
    _text("actor"),
    _text("reason", null=True),
    _whole("at_us"),
    _whole("request", null=True),
    _bytes("payload", null=True),
    _whole("format"),
    _bytes("salt", null=True),
    _bytes("digest", null=True),
    _bytes("hash"),
    UniqueConstraint("item", "seq"),
)
_index("work_item_event_failed", work_item_event, "item", where="kind = 'body failed'")

service_call = _table(
    "service_call",
    _key("id"),
    _reference("instance", "instance.id"),
    _whole("call"),
    _text("operation"),
    _text("state"),  # due | running | attention
    _whole("attempts"),
    _whole("round_attempts"),
    _whole("due_us"),  # due: when the next attempt may start; running: when this one must be over
    _whole("fencing"),
    _text("idempotency_key"),
    _reference("requested_position", "event.position"),
    _text("last_error", null=True),
    UniqueConstraint("instance", "call"),
)
_index("service_call_state", service_call, "state", "due_us", "id")

external_call = _table(
    "external_call",
    _key("id"),
    _reference("instance", "instance.id"),
    _whole("call"),
    _text("operation"),
    _text("worker", null=True),  # who fetched it last
    _whole("lease_until_us"),  # 0: nobody has it
    _whole("fencing"),  # the number of the last lease: what comes under another one is refused
    _whole("attempts"),  # how often it was handed out
    _whole("most_attempts"),
    _whole("requested_us"),
    _whole("due_us", null=True),
    _reference("requested_position", "event.position"),
    _text("last_error", null=True),
    UniqueConstraint("instance", "call"),
)
_index("external_call_operation", external_call, "operation", "id")
_index("external_call_attention", external_call, "lease_until_us", where="attempts >= most_attempts")

timer = _table(
    "timer",
    _reference("instance", "instance.id", primary_key=True),
    Column("call", WHOLE, primary_key=True, autoincrement=False),
    _whole("due_us"),
    by_rowid=False,
)
_index("timer_due", timer, "due_us")

waiting_event = _table(
    "waiting_event",
    _key("id"),
    _reference("instance", "instance.id"),
    _text("kind"),
    _whole("call", null=True),
    _whole("at_us"),
    _whole("format"),
    _bytes("header"),
    _bytes("payload", null=True),
)
_index("waiting_event_instance", waiting_event, "instance", "id")

message = _table(
    "message",
    _key("id"),  # in the order in which they came
    Column("uuid", BYTES, nullable=False, unique=True),
    _text("type"),
    _text("key"),
    _bytes("payload"),
    _text("state"),  # kept | on its way
    _whole("published_us"),
    _whole("expires_us"),
    _reference("sender", "instance.id", null=True),  # of one from outside there is none
    _text("sent_by"),
    _whole("taken"),  # by how many instances
    _whole("chain"),  # how long the chain was that led to it, and no time passed
)
_index("message_kept", message, "type", "key", "id", where="state = 'kept'")
_index("message_expiry", message, "expires_us", where="state = 'kept'")

receive = _table(
    "receive",
    _key("id"),  # in the order in which they were asked for
    _reference("instance", "instance.id"),
    _whole("call"),
    _text("type"),
    _text("key"),
    _text("wanted", null=True),  # the values that some fields of the message must have, as JSON
    _whole("since_us"),
    _reference("requested_position", "event.position"),
    _whole("message", null=True),  # which is on its way to it
    UniqueConstraint("instance", "call"),
)
_index("receive_waiting", receive, "type", "key", "id", where="message IS NULL")
_index("receive_message", receive, "message", where="message IS NOT NULL")

delivery = _table(
    "delivery",
    _key("id"),
    _text("kind"),
    _reference("origin", "instance.id"),
    _reference("target", "instance.id", null=True),  # of a start there is none yet
    _whole("call", null=True),
    _reference("position", "event.position"),  # what caused it, and holds what is handed over
    _whole("at_us"),  # its place in time: timers due by then go before it
    _whole("chain"),  # how long the chain is that led to it, and no time passed
)
_index("delivery_origin", delivery, "origin", "call")
_index("delivery_target", delivery, "target", where="target IS NOT NULL")
