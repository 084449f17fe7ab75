"""Named groups listen to the outside: each has a box, and what somebody puts there is one more item, or that no more will come."""

import json
from inspect import signature
from types import FunctionType
from typing import Any, Protocol, get_type_hints
from weakref import WeakKeyDictionary

from procession import kernel
from procession.errors import AuthorError, InvalidValue
from procession.kernel import CallKind, Failure, HaltInstance, Instance
from procession.language.codec import ValueCodec
from procession.language.messages import encode_key
from procession.language.signed import Signed

BOX = "(group)"
"""What the call of a box is recorded as: no class of messages can have this name."""

_BOXES: WeakKeyDictionary[Instance, dict[str, ValueCodec[Any]]] = WeakKeyDictionary()


class Growing(Protocol):
    """A group as its box sees it."""

    @property
    def is_open(self) -> bool: ...
    def add(self, item: Any) -> None: ...
    def close(self) -> None: ...


def item_codec(body: object, called: str) -> ValueCodec[Any] | None:
    """How an item for this body crosses; None where the body does not say of which type it is."""
    if isinstance(body, Signed):
        parameters = body.inputs.parameters
        return ValueCodec(parameters[0].annotation, where=f"an item of {called}") if parameters else None
    if not isinstance(body, FunctionType):
        return None
    name = next(iter(signature(body).parameters), "")
    try:
        annotation = get_type_hints(body, include_extras=True).get(name)
    except NameError:
        return None
    return None if annotation is None else ValueCodec(annotation, where=f"an item of {called}")


async def listen(group: Growing, name: str, codec: ValueCodec[Any]) -> None:
    """Takes what comes for the group until it is closed."""
    instance = kernel.current()
    assert instance is not None
    boxes = _BOXES.setdefault(instance, {})
    if name in boxes:
        raise AuthorError(
            f"Two open groups are named {name!r}: nobody could say to which an item is added.",
            subject=name,
            remedy="Give one of them another name.",
        )
    boxes[name] = codec
    try:
        while group.is_open:
            came = await kernel.perform(CallKind.MESSAGE, BOX, encode_key(name), decode=bytes, rebuild=_no_failure)
            if came == closing():
                group.close()
            else:
                group.add(_item(codec, came, name))
    finally:
        del boxes[name]


def adding(item: bytes) -> bytes:
    """What is put into a box to add an encoded item."""
    return b'{"add":' + item + b"}"


def closing() -> bytes:
    """What is put into a box to close its group."""
    return json.dumps({"close": True}).encode()


def box_codec(instance: Instance, name: str) -> ValueCodec[Any] | None:
    """How items for the open group of that name cross, in an instance in memory."""
    return _BOXES.get(instance, {}).get(name)


def _item(codec: ValueCodec[Any], came: bytes, name: str) -> Any:
    try:
        return codec.decode(came.removeprefix(b'{"add":')[:-1])
    except InvalidValue as error:
        raise HaltInstance(
            "divergence",
            f"What was added to the group {name} does not fit its present type: {error} "
            "Give the type back what it had, or the new field a default.",
        ) from error


def _no_failure(failure: Failure) -> Exception:
    return RuntimeError(f"a box failed: {failure.message}")
