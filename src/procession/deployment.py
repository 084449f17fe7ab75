"""Who performs an operation in this deployment: `bind` and what it is given."""

from procession.language.binding import Binding, bind, outside, people, stub

__all__ = ["Binding", "bind", "outside", "people", "stub"]
