"""Limits of services and outside systems: what the settings say, what was changed since, and changing it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TypedDict

from procession.engine.contract import Decision, View
from procession.engine.limits import AnyService, Limit, names_of
from procession.errors import PerformerError
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.commands import Order, SetLimit
from procession.services.desk import Answer, Desk
from procession.services.records import LimitShown
from procession.services.settings import Settings, told_instead
from procession.store import open_readers

KEPT = "limit:"
"""Under which the store keeps what was changed."""


class NoSuchLimit(PerformerError):
    """Limits are of services and outside systems, and there is none of that name; or the limit is none."""

    code = "no-such-limit"


class _Kept(TypedDict):
    at_once: int | None
    per_minute: int | None
    by: str


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


def in_force(declared: Mapping[str, Limit], kept: Mapping[str, str], registry: Registry) -> dict[str, Limit]:
    """The limits of the settings, and over them what was changed since."""
    changed = _changed(kept, registry)
    limits = {
        **declared,
        **{name: Limit(each["at_once"], each["per_minute"]) for name, each in changed.items() if each},
    }
    return {name: limit for name, limit in limits.items() if limit != Limit()}


def _changed(kept: Mapping[str, str], registry: Registry) -> dict[str, _Kept | None]:
    """What was changed, by the present name of each service; what was said under that goes before what was said under a former one."""
    said: dict[str, _Kept | None] = {key.removeprefix(KEPT): json.loads(value) for key, value in kept.items()}
    present = {registry.former_names.get(name, name): each for name, each in said.items()}
    return present | {name: each for name, each in said.items() if name in present}


async def change(desk: Desk, order: Order, command: SetLimit) -> Answer:
    """Change a limit, for attempts that begin from now on. Raises `NoSuchLimit`."""
    known, names = limited_names(desk.registry), desk.registry.names_of_operation(command.name)
    name = names[0]
    if any(number is not None and number < 1 for number in (command.at_once, command.per_minute)):
        raise NoSuchLimit("A limit is 1 or more.", subject=command.name, remedy="Give a number, or lift the limit.")

    def decide(view: View) -> Decision:
        kept_under = [each for each in names if view.kept(KEPT + each) is not None]
        if name not in known and not (command.from_settings and kept_under):  # one of what is gone can be let go
            raise NoSuchLimit(
                f"There is no service and no system {command.name!r}.",
                subject=command.name,
                remedy=told_instead(command.name, sorted(known)),
            )
        declared = desk.limits.get(name, Limit())
        limit = Limit(command.at_once, command.per_minute)
        keeps: dict[str, str | None] = {KEPT + each: None for each in kept_under}
        if not command.from_settings:
            keeps[KEPT + name] = json.dumps({**asdict(limit), "by": order.actor})
        said = declared if command.from_settings else limit
        return Decision(outcome={"name": name, **asdict(said)}, keeps=keeps)

    return dict((await desk.submit(order, decide)).outcome)


def list_limits(application: Application, name: str | None = None) -> LimitList:
    """Every limit in force, or those of one service with its system, with where each was said. Raises `NoSuchLimit`."""
    registry = application.load_registry()
    if name is not None:
        _require_limited(name, registry)
    if not application.store.exists():
        return LimitList(_limits(application.settings, {}, registry, name))
    readers = open_readers(application.store)
    try:
        with readers.snapshot() as view:
            return LimitList(_limits(application.settings, view.metas(KEPT), registry, name))
    finally:
        readers.close()


def limits_on(
    service: AnyService, kept: Mapping[str, str], settings: Settings, registry: Registry
) -> tuple[LimitShown, ...]:
    """The limits by which attempts at a service may have to wait for their turn."""
    return _limits(settings, kept, registry, service.id)


def _require_limited(name: str, registry: Registry) -> None:
    known = limited_names(registry)
    if registry.names_of_operation(name)[0] not in known:
        raise NoSuchLimit(
            f"There is no service and no system {name!r}.", subject=name, remedy=told_instead(name, sorted(known))
        )


def _limits(
    settings: Settings, kept: Mapping[str, str], registry: Registry, name: str | None
) -> tuple[LimitShown, ...]:
    changed, limits = _changed(kept, registry), in_force(limits_of(settings, registry), kept, registry)
    service = None if name is None else registry.find_service(name)
    wanted = set(limits) if name is None else set(names_of(service)) if service is not None else {name}
    return tuple(_shown(settings, changed, {each: limit for each, limit in limits.items() if each in wanted}))


def _shown(
    settings: Settings, changed: Mapping[str, _Kept | None], limits: Mapping[str, Limit]
) -> Iterable[LimitShown]:
    for name in sorted(limits):
        by_hand = changed.get(name)
        origin = f"changed by {by_hand['by']}" if by_hand else settings.origin(("limits", name))
        yield LimitShown(name, limits[name].at_once, limits[name].per_minute, origin)
