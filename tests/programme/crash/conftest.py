"""One warm fork server for all crash tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.programme.crash.cases import Cases, fork_server


@pytest.fixture(scope="session")
def cases() -> Iterator[Cases]:
    with fork_server() as running:
        yield running
