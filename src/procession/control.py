"""Control that a process needs rarely: chance, identifiers and notes that come out the same in every replay."""

from procession.language.control import random, uuid4
from procession.language.log import log

__all__ = ["log", "random", "uuid4"]
