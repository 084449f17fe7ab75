"""Who performs an operation in this deployment: `bind` and what it is given."""

from procession.language.binding import Binding, bind, people, stub

__all__ = ["Binding", "bind", "people", "stub"]
