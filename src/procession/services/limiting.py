"""Limits of services and outside systems: what the settings say, what was changed since, and changing it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from procession.engine.contract import Decision, View
from procession.engine.limits import Limit, names_of
from procession.errors import PerformerError
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.commands import Order, SetLimit
from procession.services.desk import Answer, Desk
from procession.services.settings import Settings, told_instead
from procession.store import open_readers

KEPT = "limit:"
"""Under which the store keeps what was changed."""


class NoSuchLimit(PerformerError):
    """Limits are of services and outside systems, and there is none of that name; or the limit is none."""

    code = "no-such-limit"


@dataclass(frozen=True, slots=True)
class LimitShown:
    """What is limited: a service or an outside system, by how much, and where that was said."""

    name: str
    at_once: int | None
    per_minute: int | None
    origin: str


@dataclass(frozen=True, slots=True)
class LimitList:
    """Every limit in force."""

    limits: tuple[LimitShown, ...]


def limits_of(settings: Settings, registry: Registry) -> dict[str, Limit]:
    """The limits in the settings. Raises `BadSettings` with the line for a name that nothing has, or a limit of nothing."""
    known = limited_names(registry)
    found = {}
    for name, table in settings.tables.limits.items():
        path = ("limits", name)
        if name not in known:
            raise settings.fault(
                path, f"there is no service and no system {name!r}.", told_instead(name, sorted(known))
            )
        found[name] = Limit(table.at_once, table.per_minute)
    return found


def limited_names(registry: Registry) -> frozenset[str]:
    """What may be limited: services by their operation, and the systems that they name."""
    return frozenset(name for service in registry.services for name in names_of(service))


def in_force(declared: Mapping[str, Limit], kept: Mapping[str, str]) -> dict[str, Limit]:
    """The limits of the settings, and over them what was changed since."""
    changed = {key.removeprefix(KEPT): json.loads(value) for key, value in kept.items()}
    limits = {
        **declared,
        **{name: Limit(each["at_once"], each["per_minute"]) for name, each in changed.items() if each},
    }
    return {name: limit for name, limit in limits.items() if limit != Limit()}


async def change(desk: Desk, order: Order, command: SetLimit) -> Answer:
    """Change a limit, for attempts that begin from now on. Raises `NoSuchLimit`."""
    known = limited_names(desk.registry)
    if command.name not in known:
        raise NoSuchLimit(
            f"There is no service and no system {command.name!r}.",
            subject=command.name,
            remedy=told_instead(command.name, sorted(known)),
        )
    if any(number is not None and number < 1 for number in (command.at_once, command.per_minute)):
        raise NoSuchLimit("A limit is 1 or more.", subject=command.name, remedy="Give a number, or lift the limit.")

    def decide(view: View) -> Decision:
        key = KEPT + command.name
        declared = desk.limits.get(command.name, Limit())
        limit = Limit(command.at_once, command.per_minute)
        kept = "null" if command.from_settings else json.dumps({**asdict(limit), "by": order.actor})
        said = declared if command.from_settings else limit
        return Decision(outcome={"name": command.name, **asdict(said)}, keeps={key: kept})

    return dict((await desk.submit(order, decide)).outcome)


def list_limits(application: Application) -> LimitList:
    """Every limit in force, with where it was said."""
    declared = limits_of(application.settings, application.load_registry())
    kept: dict[str, str] = {}
    if application.store.exists():
        readers = open_readers(application.store)
        try:
            with readers.snapshot() as view:
                kept = view.metas(KEPT)
        finally:
            readers.close()
    limits = in_force(declared, kept)
    return LimitList(tuple(_shown(application.settings, kept, limits, sorted(limits))))


def _shown(
    settings: Settings, kept: Mapping[str, str], limits: Mapping[str, Limit], names: Iterable[str]
) -> Iterable[LimitShown]:
    for name in names:
        changed = json.loads(kept.get(KEPT + name, "null"))
        origin = f"changed by {changed['by']}" if changed else settings.origin(("limits", name))
        yield LimitShown(name, limits[name].at_once, limits[name].per_minute, origin)
