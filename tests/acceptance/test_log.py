"""The log of an engine in service, as a program that gathers logs reads it."""

from __future__ import annotations

import json
import signal
import subprocess

from tests.acceptance.terminal import COMMAND, SECONDS, Terminal


def test_the_log_of_an_engine_says_who_did_what_and_nothing_of_the_business(leave: Terminal) -> None:
    command = [*COMMAND, "serve", "--log-format", "json"]
    pipe = subprocess.PIPE
    engine = subprocess.Popen(command, cwd=leave.folder, env=leave.environment, stdout=pipe, stderr=pipe, text=True)
    try:
        assert engine.stdout is not None
        assert "the engine is ready" in engine.stdout.readline()
        leave.succeed("start", "leave", "days=3", "reason=a secret illness", "--as", "ann")
        leave.fail("work", "complete", "1", "answer=perhaps", "--as", "bob")
        leave.fail("work", "claim", "99", "--as", "ann")
    finally:
        engine.send_signal(signal.SIGTERM)
        _, log = engine.communicate(timeout=SECONDS)
    lines = [json.loads(line) for line in log.splitlines()]
    done = [(line.get("kind"), line.get("actor"), line.get("instance"), line.get("error")) for line in lines]
    assert ("StartInstance", "ann", "leave-1", None) in done
    assert ("ClaimItem", "ann", None, "no-such-item") in done
    assert all(list(line)[:4] == ["at", "level", "logger", "message"] for line in lines)
    assert "illness" not in log
    assert "perhaps" not in log
