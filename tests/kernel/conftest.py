"""Every test of the kernel runs with asyncio as a host leaves it."""

from collections.abc import Iterator

import pytest

from tests.kernel.drive import MADE, asyncio_replaced


@pytest.fixture(autouse=True, scope="session")
def _asyncio_replaced() -> Iterator[None]:
    with asyncio_replaced():
        yield


@pytest.fixture(autouse=True)
def _instances_closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().instance.close()
