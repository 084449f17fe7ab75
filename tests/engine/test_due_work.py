"""What is due and cannot be applied: it is set aside until there is another source, or another engine."""

from __future__ import annotations

from typing import Any

import pytest

from procession.engine import delivering
from procession.engine.releases import Release
from tests.conformance.families import ALL, buy, start
from tests.conformance.world import Host
from tests.engine.subject import engine_of, opened


async def test_what_could_not_be_done_to_another_instance_is_tried_again_on_a_new_source(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await opened(host, *ALL)
    begin = delivering.begin_instance

    def fails(*given: Any) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(delivering, "begin_instance", fails)
    await start(world, buy, order="A-1")
    monkeypatch.setattr(delivering, "begin_instance", begin)
    await world.running.apply_due()
    with world.view() as view:
        assert view.instances.find_named("deliver-1") is None

    await engine_of(world).take_source(world.registry, Release({"app": "# mended"}))
    await world.running.apply_due()

    assert world.state("deliver-1") == "running"
