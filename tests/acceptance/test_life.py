"""The life of an application, as it is typed."""

import csv
import io
import json
import signal
from pathlib import Path

import pytest

from tests.acceptance.terminal import Terminal

pytestmark = pytest.mark.slow

ORDER = json.dumps({"order": {"number": "4711", "amount": "12.50"}})


def test_from_nothing_to_a_completed_instance(terminal: Terminal) -> None:
    """new, start, list, work list, show, claim, put back, draft, complete, show, export, doctor: each sees what the last one did."""
    assert "procession start leave" in terminal.succeed("new", "leave")
    leave = Terminal(terminal.folder / "leave")
    started = leave.answer("start", "leave", "days=3", "reason=a trip", "--as", "ann", "--reason", "summer")
    assert (started["instance"], started["title"], started["state"]) == ("leave-1", "3 days: a trip", "running")
    assert "leave-1" in leave.succeed("list")
    assert "Approve" in leave.succeed("work", "list", "--as", "bob")

    shown = leave.succeed("show", "leave-1")
    lines = shown.splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith("return "))
    assert 'process.py", line 16, in leave' in lines[at - 1]
    caret = lines[at + 1]
    assert lines[at][caret.index("^") : caret.rindex("^") + 1] == "await approve(days, reason)"[: caret.count("^")]
    assert "waits for the role Team to do Approve (item 1)" in lines[at + 2]
    assert ", due " in lines[at + 2]

    leave.succeed("work", "claim", "1", "--as", "bob")
    assert "bob has work item 1" in leave.fail("work", "claim", "1", "--as", "ann")
    leave.succeed("work", "put-back", "1", "--as", "bob", "--reason", "no time")
    leave.succeed("work", "save-draft", "1", "--answer", '"tr"', "--as", "ann")
    item = leave.answer("work", "show", "1")
    assert item["draft"] == "tr"
    assert item["instructions"] == "May your colleague take this leave?"
    assert item["inputs"] == {"days": 3, "reason": "a trip"}
    assert [(each["kind"], each["actor"], each["reason"]) for each in item["events"]][1:4] == [
        ("claimed", "bob", None),
        ("put back", "bob", "no time"),
        ("claimed", "ann", None),
    ]
    done = leave.answer("work", "complete", "1", "answer=yes", "--as", "ann")
    assert (done["state"], done["instance_state"]) == ("completed", "completed")

    detail = leave.answer("show", "leave-1", "--history")
    assert detail["result"] == "enjoy"
    assert detail["history"][0]["reason"] == "summer"
    rows = list(csv.DictReader(io.StringIO(leave.succeed("export", "log"))))
    assert [(row["instance"], row["title"], row["function"], row["performer"]) for row in rows] == [
        ("leave-1", "Approve", "Team", "ann")
    ]
    report = leave.answer("doctor")
    assert report["is_well"]
    assert report["instances"] == {"completed": 1}


def test_lists_are_filtered_and_say_when_there_is_more(leave: Terminal) -> None:
    for days in ("1", "2", "3"):
        leave.succeed("start", "leave", f"days={days}", f"reason=r{days}", "--as", "ann")
    leave.succeed("work", "complete", "1", "yes", "--as", "bob")
    names = lambda *filters: [row["instance"] for row in leave.answer("list", *filters)["instances"]]  # noqa: E731
    assert names() == ["leave-3", "leave-2", "leave-1"]
    assert names("--state", "completed") == ["leave-1"]
    assert names("--text", "r2") == ["leave-2"]
    assert names("--since", "1 hour", "--process", "leave") == ["leave-3", "leave-2", "leave-1"]
    assert names("--since", "2999-01-01") == []
    page = leave.answer("list", "--limit", "1")
    assert page["more"]
    assert len(page["instances"]) == 1
    assert "none of" in leave.fail("list", "--state", "sleeping", status=2)


def test_inputs_come_as_fields_as_json_from_a_file_or_from_standard_input(shop: Terminal) -> None:
    one = shop.answer("start", "handle", "order.number=1", "order.amount=2.50", "order.urgency=high")
    assert shop.answer("show", one["instance"])["input"]["order"]["urgency"] == "high"
    (shop.folder / "order.json").write_text(ORDER)
    two = shop.answer("start", "handle", "--input", "@order.json")
    three = shop.answer("start", "handle", "--input", "-", stdin=ORDER)
    assert two["instance"] == three["instance"], "the same business key with the same input is the same instance"
    assert (two["repeated"], three["repeated"]) == (False, True)
    assert shop.answer("show", "handle:4711")["instance"]["instance"] == two["instance"]
    assert "business key" in shop.fail("start", "handle", "order.number=4711", "order.amount=1")


def test_a_local_time_is_read_in_the_zone_of_the_application_and_kept_in_utc(shop: Terminal) -> None:
    started = shop.answer("start", "handle", "order.number=1", "order.amount=1", "order.placed=2026-07-01 14:30")
    placed = shop.answer("show", started["instance"])["input"]["order"]["placed"]
    assert placed.startswith("2026-07-01T12:30:00Z")


def test_commands_go_to_the_engine_that_runs(leave: Terminal) -> None:
    with leave.serving() as server:
        told = leave.fail("serve")
        assert f"An engine runs already (process {server.ready['process']})" in told
        assert "nothing to do" in told
        leave.succeed("start", "leave", "days=3", "reason=a", "--as", "ann")
        assert server.wait_for("started by ann")["instance"] == "leave-1"
        leave.succeed("work", "complete", "1", "yes", "--as", "bob")
        server.wait_for("completed by bob")
        assert leave.fail("work", "complete", "1", "yes", "--as", "bob").count("\n") == 1
        report = leave.answer("doctor")
        assert report["engine"]["process"] == server.ready["process"]
        assert Path(report["engine"]["socket"]).is_socket()
        assert server.end() == 0
    assert not Path(server.ready["socket"]).exists()
    assert leave.answer("doctor")["engine"] is None


def test_after_a_kill_the_next_command_goes_on(leave: Terminal) -> None:
    with leave.serving() as server:
        leave.succeed("start", "leave", "days=3", "reason=a", "--as", "ann")
        server.end(signal.SIGKILL)
        assert leave.answer("work", "complete", "1", "yes", "--as", "bob")["instance_state"] == "completed"
    assert leave.answer("doctor")["is_well"]


def test_without_an_engine_services_and_timers_wait_and_the_command_says_so(shop: Terminal) -> None:
    shop.succeed("start", "handle", "--input", ORDER)
    told = shop.succeed("work", "complete", "1", "approved=yes", "--as", "ann")
    assert "1 service call waits for an engine: `procession serve`" in told
    assert "1 timer waits" in shop.succeed("start", "patience")
    shown = shop.answer("show", "handle-1")
    assert [(wait["kind"], wait["state"]) for wait in shown["waits"]] == [("service", "due"), ("task", "offered")]
    assert shown["branches_from"] == "replay"
    assert {branch["call"] for branch in shown["branches"]} == {wait["call"] for wait in shown["waits"]}


def test_a_service_that_needs_attention_is_retried_completed_or_failed_by_hand(shop: Terminal) -> None:
    for number, item in (("1", "1"), ("2", "3"), ("3", "5")):
        shop.succeed("start", "handle", f"order.number={number}", "order.amount=1")
        shop.succeed("work", "complete", item, "approved=yes", "--as", "ann")
    with shop.serving() as server:
        for _ in range(3):
            server.wait_for("needs attention")
        concerns = shop.answer("doctor", status=1)["concerns"]
        assert sorted(each["subject"] for each in concerns) == ["handle-1", "handle-2", "handle-3"]
        assert "the ledger is down" in shop.succeed("show", "handle-1")
        call = str(next(w["call"] for w in shop.answer("show", "handle-1")["waits"] if w["kind"] == "service"))
        (shop.folder / "ledger.txt").write_text("L-")
        told = shop.succeed("retry", "handle-1", "--call", call, "--reason", "the ledger is back")
        assert f"Call {call} of handle-1, Ledger.book, is being attempted again." in told
        shop.succeed("complete-call", "handle-2", call, "--value", '"by telephone"', "--reason", "telephone")
        shop.succeed("fail-call", "handle-3", call, "--message", "the customer is gone")
        for item in ("2", "4"):
            shop.succeed("work", "complete", item, "yes", "--as", "bob")
        ended: set[str] = set()
        while not ended >= {"handle-1", "handle-2"}:
            event = server.wait_for("completed")
            if event["text"] == "completed":
                ended.add(event["instance"])
    assert shop.answer("show", "handle-1")["result"] == "L-1"
    assert shop.answer("show", "handle-2")["result"] == "by telephone"
    failed = shop.answer("show", "handle-3")
    assert failed["instance"]["state"] == "failed"
    assert "the customer is gone" in failed["failure"]


def test_a_bug_halts_and_a_corrected_source_goes_on(shop: Terminal) -> None:
    shop.succeed("start", "divide", "numerator=6", "denominator=0")
    done = shop.answer("work", "complete", "1", "yes", "--as", "bob")
    assert "ZeroDivisionError" in done["halted"]
    shown = shop.succeed("show", "divide-1")
    assert "return numerator // denominator" in shown
    assert "procession retry divide-1" in shown
    assert "divide-1" in json.dumps(shop.answer("doctor", status=1)["concerns"])
    assert "ZeroDivisionError" in shop.answer("retry", "divide-1", status=1)["halted"]
    source = shop.folder / "shop" / "process.py"
    source.write_text(source.read_text().replace("numerator // denominator", "numerator // (denominator or 1)"))
    assert shop.answer("retry", "divide-1", "--reason", "corrected")["state"] == "completed"
    assert "is already completed" in shop.fail("retry", "divide-1")


def test_a_corrected_source_is_taken_by_the_engine_that_runs(shop: Terminal) -> None:
    source = shop.folder / "shop" / "process.py"
    with shop.serving():
        shop.succeed("start", "divide", "numerator=6", "denominator=0")
        shop.succeed("work", "complete", "1", "yes", "--as", "bob")
        text = source.read_text()
        source.write_text(text + "\ndef (")
        assert "does not import" in shop.fail("retry", "divide-1")
        note = "The engine runs the source of "
        assert note in shop.succeed("start", "divide", "numerator=6", "denominator=2")
        assert "await call_back(" in (shown := shop.succeed("show", "divide-2"))
        assert note in shown and "halts" not in shown
        assert shop.answer("work", "complete", "2", "answer=yes", "--as", "bob")["instance_state"] == "completed"
        assert note in shop.succeed("list")
        assert note in shop.answer("doctor", status=1)["engine"]["note"]
        source.write_text(text.replace("numerator // denominator", "numerator // (denominator or 1)"))
        assert shop.answer("retry", "divide-1", "--reason", "corrected")["state"] == "completed"


def test_where_the_source_is_gone_the_recorded_places_are_shown(shop: Terminal) -> None:
    shop.succeed("start", "divide", "numerator=6", "denominator=2")
    source = shop.folder / "shop" / "process.py"
    text = source.read_text()
    source.write_text(text[: text.index("@process(owner=sales)\nasync def divide")])
    shown = shop.answer("show", "divide-1")
    assert shown["branches_from"] == "record"
    assert "not in the application" in shown["note"]
    assert shown["branches"][0]["frames"][0]["source"].strip().startswith("reached = await call_back(")


def test_a_cancelled_instance_has_ended_when_its_clean_up_has(shop: Terminal) -> None:
    shop.succeed("start", "patience")
    assert "patience-1 is cancelled." in shop.succeed("cancel", "patience-1", "--reason", "by mistake", "--as", "cleo")
    shown = shop.answer("show", "patience-1", "--history")
    asked, ended = (
        entry for entry in shown["history"] if entry["kind"] in ("CancellationRequested", "InstanceCancelled")
    )
    assert (asked["actor"], asked["reason"], ended["text"]) == ("cleo", "by mistake", "by mistake")
    assert "already cancelled" in shop.fail("cancel", "patience-1", status=1)


def test_cancelling_by_force_keeps_the_reason(shop: Terminal) -> None:
    shop.succeed("start", "patience")
    shop.succeed("cancel", "patience-1", "--force", "--reason", "by mistake", "--as", "cleo")
    shown = shop.answer("show", "patience-1", "--history")
    assert shown["instance"]["state"] == "cancelled"
    assert (shown["history"][-1]["actor"], shown["history"][-1]["reason"]) == ("cleo", "by mistake")


def test_a_withdrawn_item_is_seen_by_the_process(shop: Terminal) -> None:
    shop.succeed("start", "divide", "numerator=6", "denominator=2")
    shop.succeed("work", "withdraw", "1", "--reason", "not needed", "--as", "cleo")
    assert shop.answer("show", "divide-1")["instance"]["state"] == "failed"


def test_a_refused_answer_names_the_field_and_changes_nothing(shop: Terminal) -> None:
    shop.succeed("start", "handle", "--input", ORDER)
    refused = shop.answer("work", "complete", "1", "approved=no", "--as", "ann", status=1)
    assert refused["error"]["problems"] == {"remarks": "say why not"}
    assert shop.answer("work", "show", "1")["item"]["state"] == "offered"
    shop.succeed("work", "complete", "1", "approved=no", "remarks=sold out", "--as", "ann")
    assert shop.answer("show", "handle-1")["result"] == "sold out"


def test_what_runs_no_code_of_an_instance_is_done_although_the_source_does_not_load(leave: Terminal) -> None:
    for days in (1, 2, 3):
        leave.succeed("start", "leave", f"days={days}", "reason=a", "--as", "ann")
    with (leave.folder / "leave" / "process.py").open("a") as source:
        source.write("\ndef (\n")
    assert "process.py" in leave.fail("cancel", "leave-1")
    leave.succeed("suspend", "leave-1")
    leave.succeed("cancel", "leave-2", "--force", "--reason", "entered twice")
    assert leave.answer("cancel", "--state", "running", "--force")["done"] == 1
    assert {each["instance"]: each["state"] for each in leave.answer("list")["instances"]} == {
        "leave-1": "suspended",
        "leave-2": "cancelled",
        "leave-3": "cancelled",
    }
