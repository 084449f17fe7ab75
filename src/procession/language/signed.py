"""What operations and processes have in common: a declared `async def`, and how its inputs and its result cross."""

from functools import cached_property
from typing import Any, Generic, TypeVar

from procession.language.codec import ArgumentsCodec, ValueCodec
from procession.language.declarations import Declared

R = TypeVar("R")


class Signed(Generic[R]):
    """Something declared by an `async def`; its types are resolved when they are first needed, or by `check`."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self.name = declared.name
        self.where = declared.where
        self.__doc__ = declared.body.__doc__
        self.__name__ = declared.body.__name__
        self.__module__ = declared.body.__module__
        self.__wrapped__ = declared.body

    @cached_property
    def inputs(self) -> ArgumentsCodec:
        """How the inputs cross."""
        return ArgumentsCodec(self._signature[0], callee=self.name, where=self.where)

    @cached_property
    def result(self) -> ValueCodec[R]:
        """How the result crosses."""
        return ValueCodec(self._signature[1], where=f"the result of {self.where}")

    @cached_property
    def _signature(self) -> tuple[tuple[Any, ...], Any]:
        return self.declared.resolve()
