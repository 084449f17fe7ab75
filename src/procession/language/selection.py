"""Who may perform an operation, as the author says it. Who that is on a given day, the organisation knows."""

from dataclasses import dataclass

from procession.errors import NotDeclarable
from procession.language.names import name_fault


@dataclass(frozen=True, slots=True)
class Role:
    """Everybody who holds this role."""

    name: str

    def __post_init__(self) -> None:
        if fault := name_fault(self.name):
            raise NotDeclarable(f"The role {self.name!r} {fault}.", subject=self.name, remedy="Give it another name.")

    def __str__(self) -> str:
        return self.name


Selection = Role
"""A rule that says who may perform an operation."""


def role(name: str) -> Selection:
    """Whoever holds the role of this name may do it."""
    return Role(name)
