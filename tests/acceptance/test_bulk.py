"""Many instances at once: chosen by a filter, one after the other, told how far, and taken back where that can be."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from typing import Any

import pytest
from typer.testing import CliRunner

from procession.api import orders
from procession.cli.main import app
from procession.services.application import Application
from procession.services.commands import Order
from tests.acceptance.terminal import Terminal


@pytest.fixture
def leaves(leave: Terminal) -> Terminal:
    for days in (1, 2, 3):
        leave.succeed("start", "leave", f"days={days}", "reason=a", "--as", "ann")
    return leave


def states(terminal: Terminal) -> dict[str, str]:
    return {each["instance"]: each["state"] for each in terminal.answer("list")["instances"]}


def test_a_dry_run_says_which_and_does_nothing(leaves: Terminal) -> None:
    assert leaves.succeed("suspend", "--process", "leave", "--dry-run") == (
        "3 to suspend: leave-1, leave-2, leave-3.\n"
    )
    assert set(states(leaves).values()) == {"running"}


def test_suspend_and_resume_undo_each_other_and_leave_others_alone(leaves: Terminal) -> None:
    leaves.succeed("suspend", "leave-3")
    first = leaves.answer("suspend", "--all", "--reason", "audit")
    assert (first["number"], first["done"], first["left"], first["refused"]) == (2, 2, 0, [])
    assert set(states(leaves).values()) == {"suspended"}
    second = leaves.answer("resume", "--undo", str(first["bulk"]))
    assert second["done"] == 2
    assert states(leaves) == {"leave-1": "running", "leave-2": "running", "leave-3": "suspended"}
    assert leaves.answer("suspend", "--undo", str(second["bulk"]))["done"] == 2
    assert "There is no bulk 99 that `resume` undoes" in leaves.fail("resume", "--undo", "99")


def test_none_that_is_chosen_is_an_error_and_so_is_no_choice(leaves: Terminal) -> None:
    assert "There is nothing to resume" in leaves.fail("resume", "--all")
    assert "There is nothing to cancel" in leaves.fail("cancel", "--older-than", "1 day")
    leaves.fail("cancel", status=2)
    leaves.fail("cancel", "leave-1", "--all", status=2)
    leaves.fail("suspend", "--state", "asleep", status=2)
    assert set(states(leaves).values()) == {"running"}


def test_cancel_takes_those_with_the_attribute_at_the_operation(shop: Terminal) -> None:
    source = shop.folder / "shop" / "process.py"
    text = source.read_text().replace("import Answer", "import attribute, Answer")
    asks = "    verdict = await check(order)\n"
    source.write_text(text.replace(asks, "    attribute(number=order.number)\n" + asks))
    for number in ("A", "B"):
        shop.succeed("start", "handle", f"order.number={number}", "order.amount=1", "--as", "ann")
    shop.succeed("start", "patience", "--as", "ann")
    shop.succeed("cancel", "--attribute", "number=B", "--operation", "Sales.check")
    assert states(shop) == {"patience-1": "running", "handle-2": "cancelled", "handle-1": "running"}


def test_halted_instances_are_retried_by_their_error(shop: Terminal) -> None:
    for _ in range(2):
        shop.succeed("start", "divide", "numerator=1", "denominator=0", "--as", "ann")
    for item in ("1", "2"):
        shop.run("work", "complete", item, "yes", "--as", "ann")
    assert set(states(shop).values()) == {"halted"}
    assert "There is nothing to retry" in shop.fail("retry", "--error", "no such error")
    source = shop.folder / "shop" / "process.py"
    source.write_text(source.read_text().replace("numerator // denominator", "numerator // (denominator or 1)"))
    assert shop.answer("retry", "--error", "ZeroDivisionError")["done"] == 2
    assert set(states(shop).values()) == {"completed"}


def test_a_running_engine_does_it_and_one_that_is_refused_is_told(leaves: Terminal) -> None:
    source = leaves.folder / "leave" / "process.py"
    text = source.read_text()
    source.write_text(text.replace('"enjoy" if', '"enjoy" if 1 / 0 and'))
    for item in ("1", "2", "3"):
        leaves.run("work", "complete", item, "yes", "--as", "bob")
    source.write_text(text.replace("approve(days,", "approve(days + (days == 2),"))
    with leaves.serving():
        told = leaves.answer("retry", "--process", "leave", status=1)
    assert (told["number"], told["done"], told["left"]) == (3, 2, 0)
    (refusal,) = told["refused"]
    assert "leave-2 does not replay on the present source" in refusal
    assert states(leaves) == {"leave-1": "completed", "leave-2": "halted", "leave-3": "completed"}


def test_ctrl_c_stops_after_the_present_one_and_says_how_to_go_on(
    leaves: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(application: Application, given: Iterable[Order], answered: orders.Answered) -> None:
        for order in given:
            signal.raise_signal(signal.SIGINT)
            answered(order, {})

    monkeypatch.setattr(orders, "give_many", stopped)
    done = CliRunner().invoke(app, ["cancel", "--all", "--app", str(leaves.folder), "--format", "json"])
    document: dict[str, Any] = json.loads(done.stdout)
    assert (done.exit_code, document["done"], document["left"]) == (1, 1, 2)


def test_many_are_skipped_at_one_operation_with_a_result_for_a_reason(leaves: Terminal) -> None:
    leaves.fail("skip", "--all", "--value", "true", "--reason", "a holiday", status=2)
    leaves.fail("skip", "leave-1", "--value", "true", "--reason", "a holiday", status=2)
    skipped = leaves.answer("skip", "--operation", "Team.approve", "--value", "true", "--reason", "a holiday")
    assert (skipped["done"], skipped["refused"]) == (3, [])
    assert set(states(leaves).values()) == {"completed"}


def test_those_that_halt_again_are_named_and_counted_and_so_is_one(shop: Terminal) -> None:
    for item, numerator in enumerate((0, 1, 2), start=1):
        shop.succeed("start", "divide", f"numerator={numerator}", "denominator=0", "--as", "ann")
        shop.run("work", "complete", f"{item}", "yes", "--as", "ann")
    source = shop.folder / "shop" / "process.py"
    source.write_text(source.read_text().replace("numerator // denominator", "1 if numerator else 1 // denominator"))

    many = shop.answer("retry", "--all", status=1)
    assert (many["done"], many["refused"], many["halted"]) == (3, [], ["divide-1"])
    told = shop.run("retry", "--process", "divide")
    assert told.status == 1
    assert "1 of them halted again" in told.out
    assert "- divide-1: ZeroDivisionError" in told.out
    one = shop.run("retry", "divide-1")
    assert (one.status, "divide-1 halted: ZeroDivisionError" in one.out) == (1, True)


def test_a_child_that_goes_on_or_ends_with_its_parent_is_done(leave: Terminal) -> None:
    source = leave.folder / "leave" / "process.py"
    wider = (
        "\n\n@process(owner=team)\nasync def holidays(days: int) -> str:\n    return await leave(days, 'holidays')\n"
    )
    source.write_text(source.read_text() + wider)
    leave.succeed("start", "holidays", "days=3", "--as", "ann")
    for verb, state in (("suspend", "suspended"), ("resume", "running"), ("cancel", "cancelled")):
        done = leave.answer(verb, "--all")
        assert (done["number"], done["done"], done["refused"]) == (2, 2, [])
        assert states(leave) == {"holidays-1": state, "leave-1": state}
