"""The lines of the local socket."""

import os
import socket
import stat
from pathlib import Path

import pytest

from procession.api import protocol
from procession.api.protocol import (
    BadLine,
    RefusedByEngine,
    decode_line,
    decode_order,
    describe_error,
    encode_order,
    error_from,
)
from procession.errors import InvalidValue
from procession.services.commands import ClaimItem, CompleteItem, Order, StartInstance
from procession.work.worklist import Held


@pytest.mark.parametrize(
    "order",
    [
        Order(StartInstance("leave", '{"days": 3}', key="k"), "ann", "because", "c-1"),
        Order(CompleteItem(7, '"ä\\n"', version=None), "bob"),
        Order(ClaimItem(1, version=4), "bob"),
    ],
)
def test_an_order_comes_out_as_it_went_in(order: Order) -> None:
    assert decode_order(decode_line(encode_order(order))) == order


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b'{"command": "fly", "actor": "ann"}\n',
        b'{"command": "claim-item", "values": {"item": 1}}\n',
        b'{"command": "claim-item", "values": {"item": 1}, "actor": ""}\n',
        b'{"command": "claim-item", "values": {}, "actor": "ann"}\n',
        b'{"command": "claim-item", "values": {"item": "1"}, "actor": "ann"}\n',
        b'{"command": "claim-item", "values": {"item": true}, "actor": "ann"}\n',
        b'{"command": "claim-item", "values": {"item": 1, "more": 2}, "actor": "ann"}\n',
        b'{"command": "claim-item", "values": {"item": 1}, "actor": "ann", "reason": 3}\n',
        b'{"command": "claim-item", "values": {"item": 1}, "actor": "ann", "shell": "rm"}\n',
        b'{"command": "claim-item", "values": 1, "actor": "ann"}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_line_that_is_no_command_is_refused_with_a_sentence(line: bytes) -> None:
    with pytest.raises(BadLine):
        decode_order(decode_line(line))


def test_an_error_keeps_its_code_and_its_remedy() -> None:
    error = error_from(describe_error(Held("bob has it.", subject="7", remedy="Ask bob.")))
    assert isinstance(error, RefusedByEngine)
    assert (error.code, error.message, error.subject, error.remedy) == ("held", "bob has it.", "7", "Ask bob.")


def test_an_invalid_value_keeps_the_fields_it_is_about() -> None:
    error = error_from(describe_error(InvalidValue("Wrong.", problems={"days": "is not a number"})))
    assert isinstance(error, InvalidValue)
    assert error.problems == {"days": "is not a number"}


def test_the_socket_lies_in_the_run_time_folder_when_that_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_time = tmp_path / "run"
    run_time.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run_time))
    path = protocol.socket_path_for(tmp_path / "procession.db")
    assert path.parent == run_time
    run_time.chmod(0o755)
    assert protocol.socket_path_for(tmp_path / "procession.db").parent != run_time


def test_two_names_of_one_store_have_one_socket_and_two_stores_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    one = protocol.socket_path_for(tmp_path / "a.db")
    assert protocol.socket_path_for(tmp_path / "link" / "a.db") == one
    assert protocol.socket_path_for(tmp_path / "b.db") != one


def test_a_store_deep_down_gets_a_socket_whose_path_is_short_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    path = protocol.socket_path_for(deep / "procession.db")
    assert len(os.fsencode(path)) < protocol.SOCKET_PATH_LIMIT_BYTES
    found = path.parent.lstat()
    assert stat.S_IMODE(found.st_mode) == 0o700
    assert found.st_uid == os.getuid()
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    path.unlink()
