"""An instance on the terminal: its business call stack like a traceback, whom it waits for, what to do."""

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from procession.cli.output import (
    STATE_STYLES,
    age,
    heading,
    indented,
    local,
    local_near,
    plural,
    say,
    state_cell,
    table,
    tell_of_hold,
    value_lines,
)

if TYPE_CHECKING:
    from procession.services.records import (
        BranchShown,
        FrameShown,
        HaltShown,
        HistoryEntry,
        InstanceDetail,
        Wait,
    )


def show_instance(detail: "InstanceDetail", zone: tzinfo, *, verbose: bool) -> None:
    """Everything about an instance, in words."""
    row = detail.instance
    say(f"{row.instance}  {row.title}  {row.state}", STATE_STYLES.get(row.state, "bold"))
    key = f", business key {row.business_key}" if row.business_key else ""
    say(f"process {row.process}{key}, started by {row.initiator} at {local(row.started, zone)}")
    if row.parent is not None:
        say(f"child of {row.parent}")
    if row.ended is not None:
        say(f"{row.state} at {local(row.ended, zone)}")
    if detail.suspension is not None:
        tell_of_hold(detail.suspension, zone)
    if detail.failure is not None:
        failed = "failed with" if row.ended is not None else "it fails, once this is cleaned up and undone:"
        say(f"{failed} {indented(detail.failure)}", "red")
    if row.state == "completed":
        _show_value("result", detail.result)
    if verbose:
        _show_value("input", detail.input)
    if detail.attributes:
        _show_value("attributes", detail.attributes)
    if detail.halt is not None:
        show_halt(detail.halt, zone, verbose=verbose)
    _show_branches(detail, zone)
    _show_children(detail)
    _show_items(detail, zone)
    if detail.history:
        _show_history(detail.history, zone)


def _show_branches(detail: "InstanceDetail", zone: tzinfo) -> None:
    waits = {wait.call: wait for wait in detail.waits}
    if detail.note:
        say()
        say(f"{detail.note} What follows was recorded when the calls were asked for.", "yellow")
    for branch in detail.branches:
        wait = waits.pop(branch.call, None) if branch.call is not None else None
        say()
        _show_frames(branch)
        if wait is not None:
            _show_wait(detail, wait, zone)
        else:
            say("  waits for another branch" if branch.call is None else f"  waits for call {branch.call}")
    for wait in waits.values():
        # A call that is asked for and not awaited at this moment, by a handle.
        say()
        _show_wait(detail, wait, zone, lead="also open:")


def _show_frames(branch: "BranchShown") -> None:
    from procession.services.places import shortened_frames

    for frame in shortened_frames(branch.frames):
        if isinstance(frame, str):
            say(f"  {frame}", "dim")
            continue
        say(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
        if frame.source.strip():
            say(f"    {frame.source.strip()}")
            say(f"    {_carets(frame)}", "bold")
        for name, value in (frame.variables or {}).items():
            say(f"      {name} = {value}", "dim")


def _carets(frame: "FrameShown") -> str:
    indent = len(frame.source) - len(frame.source.lstrip())
    start = max(frame.column - indent, 0)
    width = max(min(frame.end_column, len(frame.source)) - max(frame.column, indent), 1)
    return " " * start + "^" * width


def _show_wait(detail: "InstanceDetail", wait: "Wait", zone: tzinfo, *, lead: str = "waits for") -> None:
    since = f"since {local(wait.since, zone)} ({age(datetime.now(UTC) - wait.since)})"
    due = f", due {local(wait.due, zone)}" if wait.due else ""
    late = " OVERDUE" if wait.is_overdue else ""
    match wait.kind:
        case "task":
            whom = f"{wait.holder}, who has {wait.state} it," if wait.holder else f"the role {wait.role}"
            say(f"  {lead} {whom} to do {wait.title} (item {wait.item}), {since}{due}{late}", "cyan")
        case "service":
            _show_service(detail, wait, since, zone, lead)
        case "child":
            _show_child(wait, since, zone, lead)
        case "external":
            _show_external(detail.instance.instance, wait, f"{since}{due}{late}", zone, lead)
        case "group":
            say(f"  {lead} more of the group {wait.title} (call {wait.call}), {since}", "cyan")
        case "message":
            say(f"  {lead} the message {wait.title} (call {wait.call}), {since}", "cyan")
        case _:
            say(f"  {lead} the time {local(wait.due, zone)} (call {wait.call}), {since}", "cyan")
    if wait.pause is not None:
        tell_of_hold(wait.pause, zone, "  ")


def _show_service(detail: "InstanceDetail", wait: "Wait", since: str, zone: tzinfo, lead: str) -> None:
    instance = detail.instance.instance
    made = wait.attempts or 0
    attempts = (
        f"{made} of {plural(wait.attempts_allowed, 'attempt')}" if wait.attempts_allowed else plural(made, "attempt")
    )
    text = f"  {lead} the service {wait.operation} (call {wait.call}), {since}; {attempts} made"
    last_error = None if wait.last_error is None else indented(wait.last_error.sentence(zone), "    ")
    if wait.state == "attention":
        say(f"{text}; it needs attention", "bold red")
        say(f"  last error: {last_error}", "red")
        say(f"  then: procession retry {instance} --call {wait.call}, complete-call or fail-call")
        return
    if wait.state == "withdrawn":
        say(
            f"  {lead} what comes of an attempt at {wait.operation} (call {wait.call}), withdrawn {since}: it is undone",
            "cyan",
        )
        return
    is_suspended = detail.suspension is not None
    when = next_attempt(wait, zone, now=datetime.now(UTC), engine_runs=detail.engine_runs, is_suspended=is_suspended)
    say(f"{text}; {when}", "cyan")
    if last_error:
        say(f"  last error: {last_error}", "yellow")


def next_attempt(wait: "Wait", zone: tzinfo, *, now: datetime, engine_runs: bool, is_suspended: bool) -> str:
    """When the next attempt begins, or what it waits for where its time is past."""
    if wait.state == "running":
        return "an attempt runs now"
    if wait.pause is not None or is_suspended:
        return "no attempt begins"
    if wait.due is None or wait.due > now:
        return f"next attempt at {local_near(wait.due, zone, now=now)}"
    if not engine_runs:
        return "an attempt is due; no engine runs: `procession serve`"
    told = " and ".join(f"{each.name} is limited to {each.spoken}" for each in wait.limits)
    return f"it waits for its turn: {told}" if told else "an attempt is due"


def _show_external(instance: str, wait: "Wait", since: str, zone: tzinfo, lead: str) -> None:
    whom = f"{wait.holder}, which has it," if wait.holder else "an outside program"
    times = f"handed out {wait.attempts} of {plural(wait.attempts_allowed or 0, 'time')}"
    text = f"  {lead} {whom} to do {wait.operation} (call {wait.call}), {since}; {times}"
    if wait.state == "attention":
        say(f"{text}; it needs attention", "bold red")
        say(f"  then: procession retry {instance} --call {wait.call}, complete-call or fail-call")
    else:
        say(text, "cyan")
    if wait.last_error is not None:
        say(f"  last error: {indented(wait.last_error.sentence(zone), '    ')}", "yellow")


def _show_child(wait: "Wait", since: str, zone: tzinfo, lead: str) -> None:
    if wait.instance is None:
        say(f"  {lead} an instance of {wait.operation} that is still to begin (call {wait.call}), {since}", "cyan")
        return
    say(f"  {lead} its child {wait.instance}, {wait.title} (call {wait.call}), {since}; {wait.state}", "cyan")
    if wait.suspension is not None:
        tell_of_hold(wait.suspension, zone, "  ")
    if wait.halt is not None:
        say(f"  which halted: {indented(wait.halt, '    ')}", "red")
        say(f"  then: procession show {wait.instance}, and procession retry {wait.instance}")


def _show_children(detail: "InstanceDetail") -> None:
    if not detail.children:
        return
    heading("Children")
    for child in detail.children:
        indent = "  " * child.depth
        say(f"{indent}{child.instance}  {child.title}  {child.state}", STATE_STYLES.get(child.state, ""))


def show_halt(halt: "HaltShown", zone: tzinfo, *, verbose: bool) -> None:
    """Why it stands still: the business call stack, what happened there, and what to do; Python's own where that is wanted."""
    say()
    say(f"Halted at {local(halt.at, zone)} ({halt.code}):", "bold red")
    if halt.branches:
        _show_frames(halt.branches[0])
    say(indented(halt.message), "red")
    if halt.recorded_input is not None:
        say(f"  recorded input: {halt.recorded_input}")
        say(f"  input now:      {halt.made_input}")
    say(halt.remedy)
    if halt.kept_waiting:
        say(f"{plural(halt.kept_waiting, 'event')} came since and will be applied then.")
    if verbose and halt.traceback:
        say(halt.traceback.rstrip(), "dim")


def _show_items(detail: "InstanceDetail", zone: tzinfo) -> None:
    if not detail.items:
        return
    heading("Work items")
    table(
        ("item", "task", "state", "who", "requested", "due", "ended"),
        [
            (
                item.item,
                item.title,
                state_cell(item.state),
                item.performer or item.holder or f"role {item.role}",
                local(item.requested, zone),
                local(item.due, zone),
                local(item.ended, zone),
            )
            for item in detail.items
        ],
    )


def _show_history(history: "tuple[HistoryEntry, ...]", zone: tzinfo) -> None:
    heading("History")
    table(
        ("", "at", "what", "call", "operation", "by", "why", "value"),
        [
            (
                entry.seq,
                f"{entry.at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
                entry.kind,
                "" if entry.call is None else entry.call,
                entry.operation or "",
                entry.performer or entry.actor or "",
                entry.reason or "",
                entry.text or ("" if entry.value is None else _one_line(entry.value)),
            )
            for entry in history
        ],
    )


def _show_value(name: str, value: object) -> None:
    if isinstance(value, dict | list) and value:
        say(f"{name}:")
        for line in value_lines(value, "  "):
            say(line)
    else:
        say(f"{name}: {value_lines(value)[0]}")


def _one_line(value: object) -> str:
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
