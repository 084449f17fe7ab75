"""Sending a message from outside: whoever waits for its class and key gets it, else it is kept until it expires."""

from procession.engine.contract import Decision, View
from procession.errors import PerformerError
from procession.language.filling_in import parsed
from procession.language.messages import codec_of
from procession.language.names import normal_name
from procession.language.registry import Registry
from procession.services.commands import Order, SendMessage
from procession.services.desk import Answer, Desk
from procession.services.lengths import length_of
from procession.store.identifiers import new_uuid7
from procession.store.messages import NewMessage


class NoSuchMessage(PerformerError):
    """The application has no class of that name that could be a message, or more than one."""

    code = "no-such-message"


def get_message_class(registry: Registry, name: str) -> type:
    """The class of messages of that name. Raises `NoSuchMessage` with the names there are."""
    classes = registry.messages.get(name, ())
    if len(classes) == 1:
        return classes[0]
    if classes:
        places = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in classes)
        raise NoSuchMessage(
            f"There is more than one class {name}: {places}.",
            subject=name,
            remedy="A message is known by the name of its class: give one of them another.",
        )
    known = ", ".join(sorted(registry.messages)) or "none"
    raise NoSuchMessage(
        f"There is no class {name!r} that could be a message.",
        subject=name,
        remedy=f"A message is a dataclass or a pydantic model of the application, which has: {known}.",
    )


async def send(desk: Desk, order: Order, command: SendMessage) -> Answer:
    """Send a message. Raises `NoSuchMessage`, or `InvalidValue` where it does not fit its class or the key is none."""
    codec = codec_of(get_message_class(desk.registry, command.message))
    value = codec.encode(parsed(codec, command.input, whole="input", subject=command.message))
    key = normal_name(command.key, what="key")
    kept_us = length_of(
        command.expires,
        "expires",
        nothing="The message would expire at once.",
        remedy='Keep it for a while: --expires "1 day".',
    )

    def decide(view: View) -> Decision:
        at_us = view.now_us
        new = NewMessage(new_uuid7(at_us), command.message, key, value, at_us, at_us + kept_us, None, order.actor)
        awaited = view.awaiting_message(new)
        return Decision(outcome={"awaited": awaited}, publishes=new)

    accepted = await desk.submit(order, decide)
    answer = {**accepted.outcome, "type": command.message, "key": key, "repeated": accepted.repeated}
    return {**answer, "halts": dict(accepted.halts)}
