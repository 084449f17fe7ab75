"""Tests of the language that run on the kernel alone have asyncio as a host leaves it."""

from tests.kernel.conftest import _asyncio_replaced, _instances_closed

__all__ = ["_asyncio_replaced", "_instances_closed"]
