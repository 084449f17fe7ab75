"""Who may perform an operation: the rules for `by=`."""

from procession.language.selection import Selection, role

__all__ = ["Selection", "role"]
