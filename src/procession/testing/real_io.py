"""Keeps services under test away from the network and from other programs, unless the test says that it wants them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from procession.errors import AuthorError

_EVENTS = {
    "socket.connect": "connects to another program",
    "socket.getaddrinfo": "looks up a host",
    "socket.gethostbyname": "looks up a host",
    "socket.gethostbyaddr": "looks up a host",
    "socket.sendto": "sends something over the network",
    "socket.sendmsg": "sends something over the network",
    "socket.bind": "listens on the network",
    "subprocess.Popen": "starts a program",
    "os.system": "starts a program",
    "os.posix_spawn": "starts a program",
    "os.exec": "starts a program",
    "os.fork": "forks the test",
}


class RealInputOutput(AuthorError):
    """In a test a service went to the network or started a program, and the test had not said that it may."""

    code = "real-input-output"


@dataclass(frozen=True, slots=True)
class Guard:
    """What is watched at the moment, and who is told when it goes outside."""

    name: str
    tell: Callable[[Exception], None]


_guard: ContextVar[Guard | None] = ContextVar("guard", default=None)
_is_installed = False


@contextmanager
def kept_inside(guard: Guard | None) -> Iterator[None]:
    """Within the block, and in threads that run in a copy of its context, nothing may go outside; with None all may."""
    global _is_installed
    if not _is_installed:
        _is_installed = True
        sys.addaudithook(_audit)
    token = _guard.set(guard)
    try:
        yield
    finally:
        _guard.reset(token)


def _audit(event: str, _: tuple[object, ...]) -> None:
    if event not in _EVENTS or (guard := _guard.get()) is None:
        return
    fault = RealInputOutput(
        f"{guard.name} {_EVENTS[event]}.",
        subject=guard.name,
        remedy="Put a stub in its place: world.stub(…).returns(…); or, if the test is to do this really, mark it with "
        "@pytest.mark.world(real_time=True).",
    )
    guard.tell(fault)
    raise fault
