"""The lines of the local socket: what is said in which order, and how commands, answers and errors are written.

The client's first line is `{"protocol": 1}`, the server's answer to it the same with the engine's process number. Then
one line per use case: `{"command": "complete-item", "values": {...}, "actor": ..., "reason": ..., "client_id": ...}`,
answered by one line, `{"answer": {...}}` or `{"error": {...}}`.
"""

import json
import os
import re
import stat
import tempfile
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args, get_type_hints

from procession.errors import InvalidValue, OperatorError, PerformerError, ProcessionError
from procession.services.commands import Command, Order

PROTOCOL = 1
# A payload of 1 MB, escaped as text inside JSON, and what stands around it.
LINE_LIMIT_BYTES = 8_000_000
# The shortest of the systems' limits for the path of a socket (macOS).
SOCKET_PATH_LIMIT_BYTES = 104


class BadLine(PerformerError):
    """A line on the local socket is not what the protocol says."""

    code = "bad-line"


class OtherProtocol(OperatorError):
    """The engine that runs and the command that was given belong to different versions of Procession."""

    code = "other-protocol"


class RefusedByEngine(ProcessionError):
    """What a running engine answered: the error as it was raised there, with its code."""

    def __init__(self, code: str, message: str, *, subject: str = "", remedy: str = "") -> None:
        super().__init__(message, subject=subject, remedy=remedy)
        self.code = code


def socket_path_for(store: Path) -> Path:
    """Where the engine of this store listens: in the user's run-time folder, else beside the store."""
    name = sha256(os.fsencode(store.resolve())).hexdigest()[:16] + ".socket"
    run_time = os.environ.get("XDG_RUNTIME_DIR", "")
    if run_time and _is_private_folder(Path(run_time)):
        return Path(run_time) / f"procession-{name}"
    beside = store.resolve().parent / f".procession-{name}"
    if len(os.fsencode(beside)) < SOCKET_PATH_LIMIT_BYTES:
        return beside
    # A socket's path holds little: for a store deep down, a private folder with a short name stands in.
    return _private_temporary_folder() / name


def _is_private_folder(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _private_temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"procession-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private_folder(folder):
        raise OperatorError(
            f"{folder} belongs to somebody else or is open to others, so the engine cannot listen there.",
            subject=str(folder),
            remedy="Set XDG_RUNTIME_DIR to a folder that is yours alone.",
        )
    return folder


def name_of(kind: type[Command]) -> str:
    """The name of a use case on the socket: CompleteItem is "complete-item"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


_COMMANDS: Mapping[str, type[Command]] = {name_of(kind): kind for kind in get_args(Command)}


def encode_line(content: Mapping[str, object]) -> bytes:
    """One line of JSON."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, Any]:
    """The object on a line. Raises `BadLine`."""
    if len(line) > LINE_LIMIT_BYTES:
        raise too_long()
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine("The line is not JSON.", remedy="Send one JSON object per line.") from None
    if not isinstance(content, dict):
        raise BadLine("The line is not a JSON object.", remedy="Send one JSON object per line.")
    return content


def too_long() -> BadLine:
    """A line that is over the limit."""
    return BadLine(
        f"The line is longer than {LINE_LIMIT_BYTES:,} bytes.",
        remedy="Keep large values in a document and hand over where it is.",
    )


def encode_order(order: Order) -> bytes:
    """A command as a line."""
    return encode_line(
        {
            "command": name_of(type(order.command)),
            "values": asdict(order.command),
            "actor": order.actor,
            "reason": order.reason,
            "client_id": order.client_id,
        }
    )


def decode_order(content: Mapping[str, Any]) -> Order:
    """The command on a line. Raises `BadLine` for anything that is not exactly one."""
    unknown = content.keys() - {"command", "values", "actor", "reason", "client_id"}
    if unknown:
        raise BadLine(f"The line has members that no command has: {', '.join(sorted(unknown))}.")
    kind = _COMMANDS.get(str(content.get("command")))
    if kind is None:
        raise BadLine(
            f"There is no command {content.get('command')!r}.", remedy=f"Known: {', '.join(sorted(_COMMANDS))}."
        )
    values = content.get("values", {})
    if not isinstance(values, dict):
        raise BadLine("`values` is not a JSON object.")
    actor = content.get("actor")
    if not isinstance(actor, str) or not actor:
        raise BadLine("`actor` is missing: say who gives the command.")
    for name in ("reason", "client_id"):
        if not isinstance(content.get(name), str | None):
            raise BadLine(f"`{name}` is not text.")
    return Order(_checked(kind, values), actor, content.get("reason"), content.get("client_id"))


def _checked(kind: type[Command], values: Mapping[str, Any]) -> Command:
    types_of = get_type_hints(kind)
    unknown = values.keys() - types_of.keys()
    if unknown:
        raise BadLine(
            f"{name_of(kind)} takes no {', '.join(sorted(unknown))}.", remedy=f"It takes: {', '.join(types_of)}."
        )
    for field in fields(kind):
        if field.name not in values:
            if field.default is MISSING:
                raise BadLine(f"{name_of(kind)} needs `{field.name}`.")
            continue
        value, wanted = values[field.name], types_of[field.name]
        # A bool is an int to Python and not to anybody else.
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in _members(wanted)):
            raise BadLine(f"{name_of(kind)}: `{field.name}` has the wrong type.")
    return kind(**values)


def _members(wanted: object) -> tuple[object, ...]:
    return get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)


def describe_error(error: ProcessionError) -> dict[str, object]:
    """An error as JSON: on the socket, and for `--format json`."""
    described: dict[str, object] = {
        "code": error.code,
        "message": error.message,
        "subject": error.subject,
        "remedy": error.remedy,
    }
    if isinstance(error, InvalidValue):
        described["problems"] = error.problems
    return described


def error_from(described: Mapping[str, Any]) -> ProcessionError:
    """The error that `describe_error` wrote, to be raised at this end."""
    message, subject, remedy = (str(described.get(name, "")) for name in ("message", "subject", "remedy"))
    problems = described.get("problems")
    error: ProcessionError
    if isinstance(problems, dict):
        error = InvalidValue(message, problems=problems, subject=subject, remedy=remedy)
        error.code = str(described.get("code", error.code))
        return error
    return RefusedByEngine(str(described.get("code", "error")), message, subject=subject, remedy=remedy)
