"""What operations and processes have in common: a declared `async def`, and how its inputs and its result cross."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Never, TypeVar

from procession.errors import InvalidValue, PayloadTooLarge
from procession.kernel import HaltInstance
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

    if not TYPE_CHECKING:  # to a type checker it cannot be awaited

        def __await__(self) -> Never:
            """Refuses what a type checker would have found."""
            raise TypeError(f"{self.known_as} was awaited and not called: write `await {self.name}(...)`")

    @cached_property
    def inputs(self) -> ArgumentsCodec:
        """How the inputs cross."""
        return ArgumentsCodec(self._signature[0], callee=self.known_as, where=self.where)

    @cached_property
    def result(self) -> ValueCodec[R]:
        """How the result crosses."""
        return ValueCodec(self._signature[1], where=f"the result of {self.where}")

    @cached_property
    def _signature(self) -> tuple[tuple[Any, ...], Any]:
        return self.declared.resolve()

    def _written(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The arguments as they cross. What is too large to cross halts, even where the process swallows errors."""
        try:
            return self.inputs.encode(args, kwargs)
        except PayloadTooLarge as error:
            raise HaltInstance("payload-limit", str(error)) from error

    def _recorded(self, raw: bytes) -> R:
        """A result as it was recorded. What the present type cannot read halts, even where the process swallows errors."""
        try:
            return self.result.decode(raw)
        except InvalidValue as error:
            raise HaltInstance(
                "divergence",
                f"The recorded result of {self.known_as} does not fit its present type: {error} "
                "Give the type back what it had, or the new field a default.",
            ) from error

    @property
    def known_as(self) -> str:
        """Its identity in every history."""
        return self.name
