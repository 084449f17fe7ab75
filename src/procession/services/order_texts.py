"""The texts and numbers of an order, looked at before anything else: what cannot be stored is refused with its field."""

from dataclasses import fields

from procession.errors import InvalidValue
from procession.language.names import name_fault
from procession.language.problems import oversized
from procession.language.strict_json import PAYLOAD_LIMIT_BYTES, text_fault
from procession.services.commands import FailCall, FailExternal, FetchExternal, Order

LONGEST_REASON = 10_000
MOST_BITS = 63
_MUST_SAY = {FailCall: "message", FailExternal: "error", FetchExternal: "worker"}


def check_texts(order: Order) -> None:
    """Raises `InvalidValue` for what cannot be kept: who, why, the client's identifier, texts and numbers of the command."""
    _refuse("actor", name_fault(order.actor) or text_fault(order.actor))
    if order.client_id is not None:
        _refuse("client_id", name_fault(order.client_id) or text_fault(order.client_id))
    if order.reason is not None:
        too_long = f"has more than {LONGEST_REASON} characters" if len(order.reason) > LONGEST_REASON else None
        _refuse("reason", too_long or text_fault(order.reason))
    for field in fields(order.command):
        value = getattr(order.command, field.name)
        if isinstance(value, str):
            _refuse(field.name, text_fault(value))
            if _MUST_SAY.get(type(order.command)) == field.name and not value.strip():
                _refuse(field.name, "is empty")
            if len(value) > PAYLOAD_LIMIT_BYTES:
                raise oversized(len(value), f"the {field.name} of the order")
        elif isinstance(value, int) and value.bit_length() > MOST_BITS:
            _refuse(field.name, "is a number of more than 63 bits")


def _refuse(field: str, fault: str | None) -> None:
    if fault is not None:
        raise InvalidValue(
            f"The {field} of the order {fault}.", problems={field: fault}, subject=field, remedy="Give another."
        )
