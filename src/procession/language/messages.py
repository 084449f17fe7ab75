"""Messages: what one instance, or the world outside, lets others know; it goes to whoever waits for its type and key."""

import dataclasses
import json
from collections.abc import Coroutine, Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, get_type_hints

from procession import kernel
from procession.calendars.durations import Duration, DurationUnclear
from procession.errors import AuthorError, InvalidValue, OutsideProcess, PayloadTooLarge
from procession.kernel import CallKind, Failure, HaltInstance, MessagePublished, PublishMessage
from procession.language.codec import ValueCodec
from procession.language.functions import Written
from procession.language.names import normal_name
from procession.language.picking import Arrival, arrival

M = TypeVar("M")

KEPT = "30 days"
"""How long a message is kept for whoever will ask for it, where nothing else is said."""


def receive(message: type[M], *, key: str, where: Mapping[str, object] | None = None) -> Coroutine[Arrival, Any, M]:
    """Waits for a message of this class with this key, and gives it: `payment = await receive(Payment, key=order.number)`.

    With `where={"currency": "EUR"}` it is one whose fields have these values; any other is left to others. It takes those
    that are kept already, in the order in which they came, each once. It can be an alternative in `pick` and `first`.
    Raises nothing; whoever waits no longer (a deadline, another alternative) takes no message.
    """
    return kernel.to_be_awaited(_receive(message, key, where or {}), "receive")


@arrival
async def _receive(message: type[M], key: str, where: Mapping[str, object]) -> M:
    _require_process("receive()", message)
    codec: ValueCodec[M] = codec_of(message)

    def decode(raw: bytes) -> M:
        try:
            return codec.decode(raw)
        except InvalidValue as error:
            raise HaltInstance(
                "divergence",
                f"The message {message.__name__} that was received does not fit its present type: {error} "
                "Give the type back what it had, or the new field a default.",
            ) from error

    asked = _encode_wish(_checked_key(key, message.__name__), _wanted(message, where))
    return await kernel.perform(CallKind.MESSAGE, message.__name__, asked, decode=decode, rebuild=_no_failure)


def publish(message: object, *, key: str, expires: Written = KEPT) -> None:
    """Gives a message to every instance that waits for its class and key; where none does, the first that asks takes it.

    It is kept for that until it `expires`. Publishing waits for nobody.
    """
    _require_process("publish()", type(message))
    codec: ValueCodec[object] = codec_of(type(message))
    try:
        value = codec.encode(message)
    except PayloadTooLarge as error:
        raise HaltInstance("payload-limit", str(error)) from error
    name = type(message).__name__
    kernel.publish(name, _checked_key(key, name), value, expires_us=kept_for(expires, name).after(kernel.now_us()))


def is_message_class(cls: object) -> bool:
    """Whether its instances can be messages: a dataclass or a pydantic model, which has a name of its own to be known by."""
    return isinstance(cls, type) and (dataclasses.is_dataclass(cls) or hasattr(cls, "model_fields"))


def codec_of(cls: type[Any]) -> ValueCodec[Any]:
    """How messages of a class cross. Raises `NotDeclarable` or `AuthorError` for a class that cannot be one."""
    if not is_message_class(cls):
        name = getattr(cls, "__name__", repr(cls))
        raise AuthorError(
            f"{name} is no class of messages.",
            subject=str(name),
            remedy="A message is a dataclass or a pydantic model: its name and a key say whom it is for.",
        )
    found: ValueCodec[Any] = _codec(cls)  # type: ignore[arg-type]
    return found


@cache
def _codec(cls: Hashable) -> ValueCodec[Any]:
    return ValueCodec(cls, where=f"the message {getattr(cls, '__name__', cls)}")


def _wanted(message: type, where: Mapping[str, object]) -> dict[str, object]:
    """The values that fields must have, as JSON. Raises `InvalidValue` for what is no field, or no value of it."""
    fields = _field_codecs(message)
    unknown = [name for name in where if name not in fields]
    if unknown:
        raise InvalidValue(
            f"A receive of {message.__name__} names what is no field of it.",
            problems={f"where[{name!r}]": "is no field" for name in unknown},
            subject=message.__name__,
            remedy=f"It has: {', '.join(fields) or 'none'}.",
        )
    return {name: json.loads(fields[name].encode(where[name])) for name in sorted(where)}


@cache
def _field_codecs(cls: Any) -> Mapping[str, ValueCodec[Any]]:
    names = cls.model_fields if hasattr(cls, "model_fields") else [each.name for each in dataclasses.fields(cls)]
    hints = get_type_hints(cls, include_extras=True)
    return {name: ValueCodec(hints[name], where=f"`{name}` of the message {cls.__name__}") for name in names}


def has_values(known: tuple[type, ...], payload: bytes, wanted: str) -> bool:
    """Whether the fields of a message have the wanted values; False also where it cannot be read with the present class."""
    if len(known) != 1:
        return False
    codec, fields = codec_of(known[0]), _field_codecs(known[0])
    try:
        message = codec.decode(payload)
        values = {name: fields[name].decode(json.dumps(each).encode()) for name, each in json.loads(wanted).items()}
    except (InvalidValue, KeyError):
        return False
    return all(getattr(message, name) == value for name, value in values.items())


def _encode_wish(key: str, wanted: dict[str, object]) -> bytes:
    if not wanted:
        return encode_key(key)
    return json.dumps({"key": key, "where": wanted}, ensure_ascii=False, separators=(",", ":")).encode()


def decode_wish(raw: bytes) -> tuple[str, str | None]:
    """What the call of a receive was recorded with: the key, and as JSON the values that fields must have, if any."""
    wish = json.loads(raw)
    if isinstance(wish, str):
        return wish, None
    return str(wish["key"]), json.dumps(wish["where"], ensure_ascii=False)


def told_wish(message: str, key: str, wanted: str | None) -> str:
    """What a receive waits for, in words."""
    values = json.loads(wanted) if wanted is not None else {}
    told = [f"{name} {each if isinstance(each, str) else json.dumps(each)}" for name, each in values.items()]
    return f"{message} with key {key}" + (f" and {', '.join(told)}" if told else "")


def encode_key(key: str) -> bytes:
    """The key of a receive, as its call is recorded."""
    return _key_codec().encode(key)


def kept_for(written: Written, name: str) -> Duration:
    """How long a message is kept. Raises `AuthorError` for what is no length of time, or none at all."""
    try:
        duration = Duration.parse(written).require_calendar_time()
    except DurationUnclear as error:
        raise AuthorError(f"The message {name}: expires={written!r}: {error}", subject=name) from None
    if duration.length_us <= 0:
        raise AuthorError(
            f"The message {name} would expire at once.", subject=name, remedy='Keep it for a while: expires="1 day".'
        )
    return duration


def same_message(known: tuple[type, ...], recorded: MessagePublished, made: PublishMessage) -> bool:
    """Whether a recorded message, read with the present class, is the one published now: a new default moves nobody."""
    if len(known) != 1:
        return False
    codec: ValueCodec[Any] = codec_of(known[0])
    try:
        return bool(codec.decode(recorded.value) == codec.decode(made.value))
    except InvalidValue:
        return False


def _checked_key(key: object, name: str) -> str:
    if not isinstance(key, str):
        raise InvalidValue(
            f"The key of the message {name} is a {type(key).__name__}.",
            problems={"key": "is no text"},
            subject=name,
            remedy="A key is a text, such as key=order.number or key=str(number).",
        )
    return normal_name(key, what=f"key of the message {name}")


@cache
def _key_codec() -> ValueCodec[str]:
    return ValueCodec(str, where="the key of a message")


def _no_failure(failure: Failure) -> Exception:
    return RuntimeError(f"a receive failed: {failure.message}")


def _require_process(what: str, message: object) -> None:
    if kernel.current() is None:
        name = getattr(message, "__name__", "NAME")
        raise OutsideProcess(
            f"{what} was used where no instance runs.",
            subject=what,
            remedy=f"Use it in a process. From outside, `procession message {name} --key KEY` sends one.",
        )
