"""Processes under test: the real engine, on a temporary file and a clock that is told how late it is.

    def test_the_leave_is_granted(world: World) -> None:
        ann, bob = world.person("ann"), world.person("bob", roles=["Team"])
        request = ann.start(leave, 3, "a trip")
        bob.complete(approve, True)
        assert request.result() == "enjoy"

`world` is a fixture that comes with Procession; in a script it is `with world() as w:`. Every command runs the engine
until nothing is left to do but what people must do and what time must bring. Then `advance("3 days")` lets time pass.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procession.testing.expectations import Expectation
    from procession.testing.performers import Actor, Item
    from procession.testing.running import Running, StillWaiting
    from procession.testing.stubs import Stub
    from procession.testing.worlds import World, world

__all__ = ["Actor", "Expectation", "Item", "Running", "StillWaiting", "Stub", "World", "world"]

_HOMES = {
    "Actor": "performers",
    "Expectation": "expectations",
    "Item": "performers",
    "Running": "running",
    "StillWaiting": "running",
    "Stub": "stubs",
    "World": "worlds",
    "world": "worlds",
}


def __getattr__(name: str) -> object:
    # Loaded when first named: pytest imports this package in every run, also where no process is tested.
    if name not in _HOMES:
        raise AttributeError(f"procession.testing has no `{name}`")
    value: object = getattr(import_module(f"procession.testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
