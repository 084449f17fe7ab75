"""Resources: what services are given besides their inputs, named in `[resources]`, opened with the engine and closed with it."""

import asyncio
import inspect
import logging
import typing
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from procession.errors import AuthorError, NotDeclarable, OperatorError
from procession.language.codec import Parameter
from procession.language.provided import Need, Provisions, needs_among, type_name_of
from procession.language.registry import Registry
from procession.services.secrets import SecretSources
from procession.services.settings import Settings

log = logging.getLogger("procession.services")


class ResourceFailed(OperatorError):
    """A resource of `[resources]` could not be opened; the engine does not start without it."""

    code = "resource-failed"


class ResourceMissing(AuthorError):
    """A service takes a resource of a type that `[resources]` does not name."""

    code = "resource-missing"


@dataclass(frozen=True, slots=True)
class DeclaredResource:
    """One line of `[resources]`: how it is opened, the type by which services know it, and what opening it takes."""

    name: str
    opens: Callable[..., AbstractAsyncContextManager[object]]
    type_name: str
    place: str
    needs: tuple[Need, ...]


def declared_resources(settings: Settings, import_module: Callable[[str], ModuleType]) -> tuple[DeclaredResource, ...]:
    """What the settings name, imported and not opened. Raises `BadSettings` with the line at fault."""
    found: list[DeclaredResource] = []
    for name, written in settings.tables.resources.items():
        path = ("resources", name)
        module, _, function = written.partition(":")
        if not module or not function.isidentifier():
            raise settings.fault(path, f"{written!r} names no function.", 'Write "module:function".')
        opens = getattr(import_module(module), function, None)
        if opens is None:
            raise settings.fault(path, f"the module {module} has no {function!r}.", "Correct the name.")
        earlier = frozenset(each.type_name for each in found)
        try:
            type_name, needs = _read(opens, written, earlier)
        except NotDeclarable as error:
            raise settings.fault(path, error.message, error.remedy) from error
        if type_name in earlier:
            other = next(each.name for each in found if each.type_name == type_name)
            raise settings.fault(
                path,
                f"{name} and {other} are both of the type {type_name}, so nobody knows which a service means.",
                "Give one of them a class of its own.",
            )
        found.append(DeclaredResource(name, opens, type_name, f"{settings.place(path)}: {name} ({written})", needs))
    return tuple(found)


def _read(opens: Any, written: str, earlier: frozenset[str]) -> tuple[str, tuple[Need, ...]]:
    """The type of what is opened, and what opening it needs: resources that are opened before, and secrets."""
    callee = opens.__aenter__ if isinstance(opens, type) and hasattr(opens, "__aenter__") else opens
    if not callable(callee):
        raise NotDeclarable(f"{written} is {type(opens).__name__}, not a function.", remedy=_REMEDY)
    try:
        hints = typing.get_type_hints(inspect.unwrap(callee))
    except (NameError, TypeError) as error:
        raise NotDeclarable(f"the types of {written} cannot be read: {error}.", remedy=_REMEDY) from None
    given = hints.get("return")
    if isinstance(opens, type):
        type_name = type_name_of(given) or type_name_of(opens)
    else:
        inner = typing.get_args(given)
        type_name = type_name_of(inner[0]) if inner else ""
    if not type_name:
        raise NotDeclarable(f"{written} does not say what it opens.", remedy=_REMEDY)
    parameters = [
        Parameter(each.name, each.annotation, **({} if each.default is each.empty else {"default": each.default}))
        for each in inspect.signature(opens, eval_str=True).parameters.values()
    ]
    needs = needs_among(parameters, earlier, written)
    filled_in = {need.parameter for need in needs}
    for parameter in parameters:
        if parameter.required and parameter.name not in filled_in:
            raise NotDeclarable(
                f"{written} takes `{parameter.name}`, and nobody gives it.",
                remedy="It may take secrets, and resources that stand above it.",
            )
    return type_name, needs


_REMEDY = "Write an async context manager with its type: `@asynccontextmanager async def database() -> AsyncIterator[Database]:`."


def secrets_wanted(registry: Registry, resources: Iterable[DeclaredResource]) -> dict[str, list[str]]:
    """Which secrets are taken, and by whom."""
    wanted: dict[str, list[str]] = {}
    for taker, need in _needs(registry, resources):
        if need.secret is not None:
            wanted.setdefault(need.secret, []).append(taker)
    return dict(sorted(wanted.items()))


def check_resources(registry: Registry, resources: Iterable[DeclaredResource]) -> None:
    """Raises `ResourceMissing` where something needs a resource that is none of these."""
    known = {each.type_name: each.name for each in resources}
    for taker, need in _needs(registry, resources):
        if need.secret is None and need.type_name not in known:
            raise ResourceMissing(
                f"{taker} takes `{need.parameter}`, a resource of the type {need.type_name}, and there is none.",
                subject=taker,
                remedy=f'Name one under [resources] in procession.toml: {need.parameter} = "module:function".',
            )


def _needs(registry: Registry, resources: Iterable[DeclaredResource]) -> list[tuple[str, Need]]:
    found = [(service.id, need) for service in registry.services for need in service.needs]
    return found + [(each.name, need) for each in resources for need in each.needs]


@asynccontextmanager
async def opened(
    registry: Registry, resources: tuple[DeclaredResource, ...], sources: SecretSources, *, within_seconds: float
) -> AsyncIterator[Provisions]:
    """Everything that services need, open until the end of the block.

    Raises `SecretMissing`, `ResourceMissing` before anything is opened, and `ResourceFailed`, whereupon what was opened
    is closed again. What fails when it is closed is told in the log. Each has `within_seconds` to open, and to close.
    """
    check_resources(registry, resources)
    secrets = sources.read(secrets_wanted(registry, resources))
    values: dict[str, object] = {}
    provisions = Provisions(values, secrets)
    stack = AsyncExitStack()
    try:
        for each in resources:
            try:
                made = each.opens(**provisions.fill(each.needs))
                values[each.type_name] = await stack.enter_async_context(_Limited(made, each.place, within_seconds))
            except _TooLong as error:
                raise ResourceFailed(
                    f"{each.place} was not open after {within_seconds:g} s.",
                    subject=each.name,
                    remedy="See what it waits for. If it needs longer, raise application.resources_within in procession.toml.",
                ) from error
            except Exception as error:
                raise ResourceFailed(
                    provisions.masked(f"{each.place} could not be opened: {type(error).__name__}: {error}."),
                    subject=each.name,
                    remedy="The engine does not start without it. Mend it, and start again.",
                ) from error
        yield provisions
    finally:
        await stack.aclose()


class _TooLong(Exception):
    """A resource took too long to open."""


@dataclass(frozen=True, slots=True)
class _Limited(AbstractAsyncContextManager[object]):
    """A resource that is given so long to open and to close; how it closes keeps no other from being closed."""

    made: AbstractAsyncContextManager[object]
    place: str
    seconds: float

    async def __aenter__(self) -> object:
        limit = asyncio.timeout(self.seconds)
        try:
            async with limit:
                return await self.made.__aenter__()
        except TimeoutError:
            if limit.expired():
                raise _TooLong from None
            raise

    async def __aexit__(self, *_: object) -> None:
        limit = asyncio.timeout(self.seconds)
        try:
            async with limit:
                await self.made.__aexit__(None, None, None)
        except Exception:
            if limit.expired():
                log.error("%s was not closed after %g s, and is left as it is.", self.place, self.seconds)
            else:
                log.exception("%s could not be closed.", self.place)
