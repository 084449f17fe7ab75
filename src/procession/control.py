"""What an author needs rarely: chance, identifiers and notes that come out the same in every replay; what a service is given."""

from procession.kernel import WorkCall
from procession.language.attempt import attempt
from procession.language.combinators import n_of
from procession.language.control import random, uuid4
from procession.language.groups import Group
from procession.language.log import log
from procession.language.provided import resource, secret

__all__ = ["Group", "WorkCall", "attempt", "log", "n_of", "random", "resource", "secret", "uuid4"]
