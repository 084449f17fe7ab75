"""One command to a running engine over its local socket, from a program that waits for the answer."""

import os
import socket
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

from procession.api.protocol import (
    LINE_LIMIT_BYTES,
    PROTOCOL,
    decode_line,
    encode_line,
    encode_order,
    error_from,
    too_long,
)
from procession.errors import InternalError
from procession.services.commands import Order

CONNECT_TIMEOUT_SECONDS = 5.0
# Longer than the body of a task may take, and than a disk that stalls.
ANSWER_TIMEOUT_SECONDS = 120.0


class NobodyListens(Exception):
    """No engine listens at this path: there is none, or it is starting or ending."""


class ConnectionLost(Exception):
    """The engine went away after the command was sent: whether it was accepted is told by sending it again under its client_id."""


def send(path: Path, order: Order) -> dict[str, Any]:
    """Give the command and return the answer. Raises the engine's refusal, `NobodyListens` or `ConnectionLost`."""
    sent = encode_order(order)
    if len(sent) > LINE_LIMIT_BYTES:
        raise too_long()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(CONNECT_TIMEOUT_SECONDS)
        try:
            if not _is_own_socket(path):
                raise NobodyListens(str(path))
            connection.connect(str(path))
            # Writing goes past this: a buffer that is flushed at the end would hide a refusal behind its own error.
            with connection.makefile("rb") as lines:
                _greet(connection, lines)
                connection.settimeout(ANSWER_TIMEOUT_SECONDS)
                try:
                    connection.sendall(sent)
                    line = lines.readline(LINE_LIMIT_BYTES + 1)
                except OSError as error:
                    raise ConnectionLost(str(error)) from error
                if not line.endswith(b"\n"):
                    raise ConnectionLost("the engine ended")
        except OSError as error:
            raise NobodyListens(str(error)) from error
    answer = _read(line).get("answer")
    if not isinstance(answer, dict):
        raise InternalError("The engine's answer is not one.", remedy="Please report it.")
    return answer


def _greet(connection: socket.socket, lines: BufferedReader) -> None:
    """Say which protocol is spoken. An engine that refuses whoever comes says so and closes before it has read that."""
    try:
        connection.sendall(encode_line({"protocol": PROTOCOL}))
    except BrokenPipeError:
        pass
    _read(lines.readline(LINE_LIMIT_BYTES + 1))


def _read(line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise NobodyListens("the engine ended")
    content = decode_line(line)
    if "error" in content:
        raise error_from(content["error"])
    return content


def _is_own_socket(path: Path) -> bool:
    """Whether it is a socket of this user: a folder that others may write to could hold another's."""
    found = os.lstat(path)
    return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid()
