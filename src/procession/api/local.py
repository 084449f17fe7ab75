"""The local socket of a running engine: commands of the same user come in, one JSON line each."""

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from procession.api.protocol import (
    LINE_LIMIT_BYTES,
    PROTOCOL,
    BadLine,
    OtherProtocol,
    decode_line,
    decode_order,
    describe_error,
    encode_line,
    too_long,
)
from procession.errors import InternalError, PerformerError, ProcessionError
from procession.services.commands import Order


class Performs(Protocol):
    """Who carries out what comes in."""

    async def perform(self, order: Order) -> Mapping[str, object]: ...


class NotYours(PerformerError):
    """The engine belongs to another user of this machine."""

    code = "not-yours"


class LocalSocket:
    """Listens for commands until it is closed; what is being carried out then is finished and answered."""

    def __init__(self, office: Performs, path: Path) -> None:
        self._office = office
        self.path = path
        self._server: asyncio.Server | None = None
        self._closing = False
        self._busy: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Begin to listen. Whoever holds the store's lock may take the place of a socket that a crash left behind."""
        self.path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._converse, path=str(self.path), limit=LINE_LIMIT_BYTES)
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Take nothing more in, answer what was taken in, and go away."""
        if self._server is None:
            return
        self._closing = True
        self._server.close()
        for writer in tuple(self._idle):
            writer.close()
        if self._busy:
            await asyncio.wait(self._busy)
        self.path.unlink(missing_ok=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None
        self._busy.add(conversation)
        try:
            refusal = _refusal_of_peer(writer.get_extra_info("socket"))
            if refusal is not None:
                await self._say(writer, {"error": describe_error(refusal)})
                return
            if await self._greet(reader, writer):
                while not self._closing and await self._serve_one(reader, writer):
                    pass
        except (ConnectionError, TimeoutError):
            pass  # the client went away; what it asked for stands, and it can ask again under the same client_id
        finally:
            self._idle.discard(writer)
            self._busy.discard(conversation)
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            line = await self._next_line(reader, writer)
            if line is None:
                return False
            said = decode_line(line).get("protocol")
            if said != PROTOCOL:
                raise OtherProtocol(
                    f"The engine speaks protocol {PROTOCOL} on its socket, the command {said!r}.",
                    remedy="Use the same version of Procession for both: restart `procession serve` after an upgrade.",
                )
        except ProcessionError as error:
            await self._say(writer, {"error": describe_error(error)})
            return False
        await self._say(writer, {"protocol": PROTOCOL, "process": os.getpid()})
        return True

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One line in, one line out. False where no more can come."""
        try:
            line = await self._next_line(reader, writer)
        except BadLine as error:
            # What follows on the connection is the rest of that line.
            await self._say(writer, {"error": describe_error(error)})
            return False
        if line is None:
            return False
        await self._say(writer, await self._answer(line))
        return True

    async def _next_line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        self._idle.add(writer)
        try:
            line = await reader.readline()
        except ValueError:
            raise too_long() from None
        finally:
            self._idle.discard(writer)
        return line if line.endswith(b"\n") else None

    async def _answer(self, line: bytes) -> Mapping[str, Any]:
        try:
            return {"answer": await self._office.perform(decode_order(decode_line(line)))}
        except ProcessionError as error:
            return {"error": describe_error(error)}
        except Exception as error:
            internal = InternalError(
                f"The engine could not carry out the command: {type(error).__name__}: {error}.",
                remedy="Please report it, with this text.",
            )
            return {"error": describe_error(internal)}

    async def _say(self, writer: asyncio.StreamWriter, content: Mapping[str, Any]) -> None:
        writer.write(encode_line(content))
        await writer.drain()


def peer_user(connection: socket.socket) -> int:
    """The user at the other end of a local socket, as the system says."""
    if sys.platform == "darwin":
        local_peer_credentials, credentials = 1, struct.Struct("=II")
        raw = connection.getsockopt(0, local_peer_credentials, credentials.size)
        return int(credentials.unpack(raw)[1])
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


def _refusal_of_peer(connection: socket.socket) -> ProcessionError | None:
    user = peer_user(connection)
    if user == os.getuid():
        return None
    return NotYours(
        f"The engine belongs to user {os.getuid()} of this machine; you are user {user}.",
        remedy="Give the command as the user that runs the engine.",
    )
