"""Roles under the names they had: items that were offered before a function was renamed are still its performers'."""

from collections.abc import Collection

from procession.language.registry import Registry


def with_former_roles(roles: Collection[str], registry: Registry) -> frozenset[str]:
    """These roles, and the former names of the functions that they are named after."""
    former = [name for role in roles if role in registry.functions for name in registry.functions[role].was]
    return frozenset((*roles, *former))
