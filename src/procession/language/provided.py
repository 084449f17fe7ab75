"""What a service is given that is no input: a database, an HTTP session, a secret.

A parameter whose default is `resource()` or `secret("NAME")` is filled in by the engine: whoever calls the service does
not hand it over, and it is never recorded. A resource is known by its type, which an application's settings name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from procession.errors import NotDeclarable
from procession.language.codec import Parameter
from procession.language.declarations import Declared
from procession.language.names import name_fault


@dataclass(frozen=True, slots=True)
class Mark:
    """The default of a parameter that the engine fills in: with a secret of this name, or with a resource."""

    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """A parameter that the engine fills in, with the secret of that name or with the resource of that type."""

    parameter: str
    type_name: str = ""
    secret: str | None = None


def resource() -> Any:
    """The default of a service's parameter that is filled in with the application's resource of its type.

    `async def book(order: Order, database: Database = resource()) -> str:` is called as `book(order)`.
    """
    return Mark()


def secret(name: str) -> Any:
    """The default of a service's parameter that is filled in with a secret, a text from the environment or a file.

    `async def send(text: str, password: str = secret("MAIL_PASSWORD")) -> None:` is called as `send(text)`.
    """
    if fault := name_fault(name):
        raise NotDeclarable(f"secret({name!r}): the name {fault}.", subject=name, remedy="Name a variable.")
    return Mark(name)


def type_name_of(annotation: object) -> str:
    """The full name of a type, by which a resource is known; an empty text for what is no class."""
    if not isinstance(annotation, type):
        return ""
    return f"{annotation.__module__}.{annotation.__qualname__}"


def needs_among(parameters: Iterable[Parameter], resources: frozenset[str], where: str) -> tuple[Need, ...]:
    """Those parameters that the engine fills in: the marked ones, and those of a type that is a resource.

    Raises `NotDeclarable` for a mark on what can be neither.
    """
    needs = []
    for parameter in parameters:
        mark = None if parameter.required else parameter.default
        name = type_name_of(parameter.annotation)
        if not isinstance(mark, Mark):
            if parameter.required and name in resources:
                needs.append(Need(parameter.name, name))
            continue
        if mark.secret is not None and parameter.annotation is not str:
            raise NotDeclarable(
                f"{where}: `{parameter.name}` is a secret, which is a text, and its type is not `str`.",
                subject=where,
                remedy=f'Write `{parameter.name}: str = secret("{mark.secret}")`.',
            )
        if mark.secret is None and not name:
            raise NotDeclarable(
                f"{where}: `{parameter.name}` is a resource, and its type {parameter.annotation} is no class.",
                subject=where,
                remedy="A resource is known by its class: name that.",
            )
        needs.append(Need(parameter.name, "" if mark.secret is not None else name, mark.secret))
    return tuple(needs)


def refuse_marks(declared: Declared, parameters: Iterable[Parameter]) -> None:
    """Raises `NotDeclarable` where something is to be filled in that only a service is given."""
    for parameter in parameters:
        if not parameter.required and isinstance(parameter.default, Mark):
            raise declared.fault(
                f"`{parameter.name}` cannot be filled in here.", "Only a service is given resources and secrets."
            )


@dataclass(frozen=True, slots=True)
class Provisions:
    """What an engine has to give: resources by the full name of their type, secrets by name."""

    resources: Mapping[str, object] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def missing(self, needs: Iterable[Need]) -> tuple[Need, ...]:
        """Those that it does not have."""
        return tuple(
            need
            for need in needs
            if (need.secret not in self.secrets if need.secret is not None else need.type_name not in self.resources)
        )

    def fill(self, needs: Iterable[Need]) -> dict[str, Any]:
        """The arguments for these parameters; it has them all."""
        return {
            need.parameter: self.resources[need.type_name] if need.secret is None else self.secrets[need.secret]
            for need in needs
        }

    def masked(self, text: str) -> str:
        """A text in which no secret can be read."""
        for value in self.secrets.values():
            if value:
                text = text.replace(value, MASK)
        return text


MASK = "********"
