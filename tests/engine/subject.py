"""The embedded engine with every option open to a test, and the place where its faults are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from procession.engine.clock import Clock
from procession.engine.embedded import EmbeddedEngine, EngineOptions, open_engine
from procession.engine.releases import Release
from procession.language.registry import Registry
from procession.store import OpenOptions
from tests.conformance.subject import EmbeddedRunning, Settings, Told
from tests.conformance.world import Host, World


@dataclass(frozen=True, slots=True)
class Tuning(Settings):
    """Options of the engine by name, over those that tests of it have in common."""

    options: Mapping[str, Any] = field(default_factory=dict)


class Tunable:
    """The engine in this process, as a test wants it. Nothing that costs time is on unless the test asks for it."""

    async def open(
        self, store: Path, registry: Registry, release: Release, clock: Clock, *, settings: Settings, told: Told
    ) -> EmbeddedRunning:
        assert isinstance(settings, Tuning)
        quiet: dict[str, Any] = {"watchdog": False, "patrols": False, "store": OpenOptions(synchronous="OFF")}
        options = EngineOptions(clock=clock, watch=told, **{**quiet, **settings.options})
        return EmbeddedRunning(await open_engine(store, registry, release, options))


async def opened(host: Host, *declared: object, clock: Clock | None = None, **options: Any) -> World:
    """A world whose engine has these options."""
    return await host.open(*declared, clock=clock, settings=Tuning(options=options))


def engine_of(world: World) -> EmbeddedEngine:
    """The engine itself, for tests of what only it has."""
    running = world.running
    assert isinstance(running, EmbeddedRunning)
    return running.engine
