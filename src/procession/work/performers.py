"""The people of an organisation and the roles they hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from procession.errors import PerformerError


class UnknownPerformer(PerformerError):
    """A person is named who is not in the organisation file."""

    code = "unknown-performer"


@dataclass(frozen=True, slots=True)
class Performer:
    """A person (or a program standing in for one) that does work items; `roles` decides what is offered to them."""

    name: str
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Organisation:
    """Everybody who may do work items, by name."""

    people: Mapping[str, Performer]

    def get_performer(self, name: str) -> Performer:
        """The person of that name. Raises `UnknownPerformer` with the names there are."""
        performer = self.people.get(name)
        if performer is None:
            names = sorted(self.people)
            known = ", ".join(names[:10]) + (", …" if len(names) > 10 else "") if names else "nobody yet"
            raise UnknownPerformer(
                f"Nobody called {name!r} is in the organisation.",
                subject=name,
                remedy=f"Known: {known}. Add people to organisation.toml, or name another with --as.",
            )
        return performer

    def holders_of(self, role: str) -> tuple[Performer, ...]:
        """Who holds a role, by name."""
        return tuple(person for _, person in sorted(self.people.items()) if role in person.roles)
