"""`procession work …`: the worklist, and what a performer does with an item."""

import json
from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import typer

from procession.cli.command import WORKING, Invocation, command
from procession.cli.instances import tell_of_halt, tell_of_waiting, waiting_after
from procession.cli.output import heading, local, say, state_cell, table, tell_of_hold, value_lines
from procession.cli.parsers import whole_number

if TYPE_CHECKING:
    from procession.services.application import Application
    from procession.services.commands import Command
    from procession.services.foreseeing import Foreseen
    from procession.services.records import FormField, ItemDetail, Worklist

ItemArgument = Annotated[
    int, typer.Argument(metavar="ITEM", parser=whole_number(), help="The item's number; `procession work list` has it.")
]
ValuesArgument = Annotated[list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Read by the fields' types.")]
VersionOption = Annotated[
    int | None,
    typer.Option(
        "--version",
        metavar="NUMBER",
        parser=whole_number(),
        help="Refuse if the item was changed since this version of it.",
    ),
]


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    work = typer.Typer(help="The worklist: what is to be done by people.", no_args_is_help=True)
    for name, body, example in (
        ("list", list_items, "procession work list --as bob"),
        ("show", show, "procession work show 4"),
        ("claim", claim, "procession work claim 4 --as bob"),
        ("start", start, "procession work start 4 --as bob"),
        ("save-draft", save_draft, "procession work save-draft 4 --answer '{\"approved\": true}' --as bob"),
        ("complete", complete, "procession work complete 4 answer=yes --as bob"),
        ("put-back", put_back, 'procession work put-back 4 --as bob --reason "on holiday"'),
        ("withdraw", withdraw, 'procession work withdraw 4 --reason "no longer needed"'),
    ):
        without = ("reason",) if body is list_items else ()
        command(work, name, example=example, panel=WORKING, acts=body is not show, without=without)(body)
    app.add_typer(work, name="work", rich_help_panel=WORKING)


def list_items(
    invocation: Invocation,
    everybody: Annotated[bool, typer.Option("--all", help="Everything that is open, whoever may do it.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", parser=whole_number(1, 10_000), help="At most so many.")
    ] = 50,
) -> None:
    """List work items: those you hold, then those offered to your roles, the longest waiting first."""
    from procession.services.reading import Reading

    application = invocation.application()
    with Reading(application) as reading:
        found = reading.worklist(None if everybody else invocation.actor, limit=limit)
    invocation.answer(found, lambda: _show_list(found, application.zone))


def _show_list(found: "Worklist", zone: tzinfo) -> None:
    if not found.items:
        say("No open work." if found.performer is None else f"No open work for {found.performer}.")
        return
    table(
        ("item", "task", "for", "state", "who", "requested", "due"),
        [
            (
                item.item,
                item.title,
                f"{item.instance}: {item.instance_title}",
                state_cell(item.state),
                item.holder or f"role {item.role}",
                local(item.requested, zone),
                (local(item.due, zone), "bold red" if item.is_overdue else ""),
            )
            for item in found.items
        ],
    )
    if found.more:
        say("There are more: see --limit.", "dim")
    for pause in found.pauses:
        tell_of_hold(pause, zone)


def show(invocation: Invocation, item: ItemArgument) -> None:
    """Show an item: what is asked, with which inputs, what to hand in, the draft, and what was done with it."""
    from procession.services.reading import Reading

    application = invocation.application()
    with Reading(application) as reading:
        detail = reading.item(item)
    invocation.answer(detail, lambda: _show_item(detail, application.zone))


def _show_item(detail: "ItemDetail", zone: tzinfo) -> None:
    _show_question(detail, zone)
    if detail.form:
        heading("To hand in")
        for field in detail.form:
            _show_field(field, "  ")
    if detail.note:
        say(detail.note, "yellow")
    if detail.draft is not None:
        heading("Draft")
        for line in value_lines(detail.draft, "  "):
            say(line)
    heading("What was done with it")
    table(
        ("at", "what", "by", "why"),
        [(local(each.at, zone), each.kind, each.actor, each.reason or "") for each in detail.events],
    )


def _show_field(field: "FormField", indent: str) -> None:
    needed = "" if field.required else ", may be left out"
    if field.nullable:
        needed += f", nothing is `{field.path or 'answer'}=`"
    options = f": {', '.join(field.options)}" if field.options else ""
    say(f"{indent}{field.path or 'answer'}  ({field.type}{needed}){options}  {field.help}".rstrip())
    for each in field.alternatives:
        if each.tag is None:
            continue
        say(f"{indent}  {each.label}")
        for inner in each.fields:
            _show_field(inner, indent + "    ")
        whole = "" if field.path else f"   or   --answer '{json.dumps(each.example, ensure_ascii=False)}'"
        say(f"{indent}    for example: {' '.join(each.given_as)}{whole}", "dim")


def _show_question(detail: "ItemDetail", zone: tzinfo) -> None:
    """What whoever does an item must see: the instructions and all inputs."""
    item = detail.item
    say(f"{item.title} (item {item.item})", "bold")
    say(f"{item.instance}: {item.instance_title}")
    offered = f"{item.state} to" if item.state == "offered" else f"{item.state}, for"
    who = f"{item.state}, {item.holder}" if item.holder else f"{offered} the role {item.role}"
    due = f", due {local(item.due, zone)}" if item.due else ""
    say(f"{who}{due}", "bold red" if item.is_overdue and item.ended is None else "")
    if item.pause is not None:
        tell_of_hold(item.pause, zone)
    if detail.instructions:
        say()
        say(detail.instructions)
    if detail.inputs:
        heading("Inputs")
        for line in value_lines(detail.inputs, "  "):
            say(line)


def claim(invocation: Invocation, item: ItemArgument, version: VersionOption = None) -> None:
    """Take an item, so that nobody else does."""
    from procession.services.commands import ClaimItem

    _change(invocation, ClaimItem(item, version))


def put_back(invocation: Invocation, item: ItemArgument, version: VersionOption = None) -> None:
    """Give an item back to those it was offered to; the draft stays."""
    from procession.services.commands import PutBackItem

    _change(invocation, PutBackItem(item, version))


def withdraw(
    invocation: Invocation,
    item: ItemArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Take an item away from everybody: the process sees Withdrawn where it awaits it. Look first with --dry-run."""
    from procession.services.commands import WithdrawItem

    if not dry_run:
        _change(invocation, WithdrawItem(item))
        return
    from procession.services.reading import Reading

    with Reading(invocation.application()) as reading:
        foreseen = reading.withdrawal(item, reason=invocation.reason or "")
    invocation.answer(foreseen, lambda: _show_foreseen(foreseen))


def _show_foreseen(foreseen: "Foreseen") -> None:
    say(f"If item {foreseen.item}, {foreseen.title}, were withdrawn, {foreseen.instance} would do this at once:")
    for consequence in foreseen.consequences:
        say(f"  {consequence}")
    say("Nothing was changed.")


def start(
    invocation: Invocation,
    item: ItemArgument,
    version: VersionOption = None,
    ask: Annotated[bool, typer.Option("--ask/--no-ask", help="In a terminal, ask for the fields one by one.")] = True,
) -> None:
    """Begin work on an item. In a terminal: see its inputs, answer field by field, hand in; Ctrl+C keeps a draft."""
    from procession.services.commands import StartItem

    application = invocation.application()
    given = invocation.give(application, StartItem(item, version))
    if not (ask and invocation.may_ask):
        _answer(invocation, application, given.answer, engine_runs=given.engine_runs)
        return
    _fill_in(invocation, application, item)


def _fill_in(invocation: Invocation, application: "Application", item: int) -> None:
    """Ask for the answer and hand it in; what is refused is asked again, what is broken off stays as a draft."""
    from procession.cli.asking import Asking
    from procession.errors import InvalidValue
    from procession.services.commands import CompleteItem
    from procession.services.reading import Reading

    with Reading(application) as reading:
        detail = reading.item(item)
        fields = reading.task(detail.item.operation).form.fields()
    _show_question(detail, application.zone)
    heading("Hand in (Ctrl+C keeps what you have typed as a draft)")
    draft = detail.draft
    while True:
        asking = Asking(application.zone, draft)
        try:
            answer = asking.ask(fields)
        except (KeyboardInterrupt, EOFError):
            say()
            _keep(invocation, application, item, asking.so_far())
            raise typer.Exit(130) from None
        try:
            given = invocation.give(application, CompleteItem(item, answer))
        except InvalidValue as error:
            for path, problem in error.problems.items() or [("", error.message)]:
                say(f"  {path or 'answer'}: {problem}", "red")
            draft = json.loads(answer)
            continue
        _answer(invocation, application, given.answer, engine_runs=given.engine_runs)
        return


def _keep(invocation: Invocation, application: "Application", item: int, draft: str | None) -> None:
    from procession.services.commands import SaveDraft

    if draft is None:
        say(f"Nothing was typed; item {item} stays yours. `procession work put-back {item}` gives it back.")
        return
    invocation.give(application, SaveDraft(item, draft))
    say(f"Kept as a draft: `procession work start {item}` goes on with it.")


AnswerOption = Annotated[str | None, typer.Option("--answer", metavar="JSON|@FILE|-", help="The whole answer as JSON.")]


def complete(
    invocation: Invocation,
    item: ItemArgument,
    values: ValuesArgument = None,
    answer: AnswerOption = None,
    version: VersionOption = None,
) -> None:
    """Hand in the answer to an item: as JSON, or field by field (`answer=yes` where it is one value)."""
    from procession.services.commands import CompleteItem

    application = invocation.application()
    content = _content(application, item, values, answer)
    _change(invocation, CompleteItem(item, content, version), application)


def save_draft(
    invocation: Invocation,
    item: ItemArgument,
    answer: Annotated[
        str, typer.Option("--answer", metavar="JSON|@FILE|-", help="What there is of the answer so far.")
    ],
    version: VersionOption = None,
) -> None:
    """Keep a half-filled answer: JSON that need not be valid yet."""
    from procession.cli.inputs import read_json
    from procession.errors import InvalidValue
    from procession.language.strict_json import find_fault
    from procession.services.commands import SaveDraft

    draft = read_json(answer, "--answer")
    # Cut off or misspelled, it would be of no use to whoever goes on with it.
    if fault := find_fault(draft.encode()):
        raise InvalidValue(
            f"The draft does not fit: {fault.path or 'it'} {fault.sentence}.",
            problems={fault.path: fault.sentence},
            remedy="It is JSON; fields may be missing, or wrong still.",
        )
    _change(invocation, SaveDraft(item, draft, version))


def _content(application: "Application", item: int, values: list[str] | None, answer: str | None) -> str:
    from procession.cli.inputs import assign, read_json
    from procession.services.reading import Reading

    if values and answer is not None:
        raise typer.BadParameter("give the answer as field=value or with --answer, not both", param_hint="--answer")
    if answer is not None:
        return read_json(answer, "--answer")
    with Reading(application) as reading:
        fields = reading.form_of(item)
    return assign(fields, values or [], application.zone, whole="answer")


def _change(invocation: Invocation, order: "Command", application: "Application | None" = None) -> None:
    application = application or invocation.application()
    given = invocation.give(application, order)
    _answer(invocation, application, given.answer, engine_runs=given.engine_runs)


def _answer(invocation: Invocation, application: "Application", answer: dict[str, Any], *, engine_runs: bool) -> None:
    waiting = waiting_after(application, str(answer["instance"]), engine_runs=engine_runs)

    def in_words() -> None:
        holder = f" by {answer['holder']}" if answer["holder"] else ""
        say(f"Item {answer['item']}, {answer['title']}: {answer['state']}{holder}")
        if answer["instance_state"] != "running":
            say(f"{answer['instance']} is {answer['instance_state']}.")
        tell_of_halt(answer)
        tell_of_waiting(waiting)
        following = answer.get("next_item")
        if following is not None and following != answer["item"]:
            say(f"Next for you: `procession work start {following}`")

    invocation.answer({**answer, "waiting": waiting}, in_words)
