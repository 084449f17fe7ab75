"""What is done to many at once: the options by which `suspend`, `resume`, `cancel` and `retry` choose, and how it goes."""

import contextlib
import functools
import inspect
import json
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from procession.cli.command import Body, Invocation
from procession.cli.output import indented, say
from procession.cli.parsers import whole_number
from procession.errors import ProcessionError

if TYPE_CHECKING:
    from procession.services.application import Application
    from procession.services.choosing import Choice, Manner, Target, Verb
    from procession.services.commands import Order

MOST_NAMED = 10
_KEYWORD = inspect.Parameter.KEYWORD_ONLY

InstanceOption = Annotated[
    str | None,
    typer.Argument(
        metavar="INSTANCE", help="Its name (leave-17), its UUID, or process:business key; or give a filter."
    ),
]
_FILTERS: dict[str, tuple[object, object]] = {
    "process": (Annotated[str | None, typer.Option("--process", help="Many: those of this process.")], None),
    "operation": (
        Annotated[
            str | None,
            typer.Option("--operation", metavar="FUNCTION.OPERATION", help="Many: those that wait at this operation."),
        ],
        None,
    ),
    "older_than": (
        Annotated[
            str | None,
            typer.Option("--older-than", metavar="AGE", help='Many: those started longer ago, such as "3 days".'),
        ],
        None,
    ),
    "attribute": (
        Annotated[
            list[str] | None,
            typer.Option("--attribute", metavar="NAME=VALUE", help="Many: those with this attribute; may be repeated."),
        ],
        None,
    ),
    "state": (Annotated[str | None, typer.Option("--state", help="Many: those in this state.")], None),
    "error": (
        Annotated[
            str | None, typer.Option("--error", metavar="TEXT", help="Many: those whose halt or last error says this.")
        ],
        None,
    ),
    "everything": (Annotated[bool, typer.Option("--all", help="Many: all there are.")], False),
    "undo": (
        Annotated[
            int | None,
            typer.Option(
                "--undo",
                metavar="BULK",
                parser=whole_number(),
                help="Many: those of an earlier bulk, by its number; suspend and resume undo each other.",
            ),
        ],
        None,
    ),
    "dry_run": (Annotated[bool, typer.Option("--dry-run", help="Say which would be chosen, and do nothing.")], False),
}

_UNDOES = {"suspend": "resume", "resume": "suspend"}
"""The commands that undo each other, by their bulks."""


def one_or_many(verb: str) -> Callable[[Body], Body]:
    """Gives a command that is for one instance the options by which it is for many."""

    def declare(body: Body) -> Body:
        own = inspect.signature(body).parameters
        filters = {
            name: inspect.Parameter(name, _KEYWORD, default=default, annotation=annotation)
            for name, (annotation, default) in _FILTERS.items()
            if name != "undo" or verb in _UNDOES
        }

        @functools.wraps(body)
        def run(invocation: Invocation, instance: str | None, **given: Any) -> int | None:
            filtered = {name: given.pop(name) for name in filters}
            dry_run = filtered.pop("dry_run")
            choice = _choice(filtered)
            if choice.is_made == (instance is not None):
                raise typer.BadParameter(
                    "name one instance, or choose many by a filter (--all for all)", param_hint="INSTANCE"
                )
            if instance is not None:
                return body(invocation, instance, **given)
            if given.get("call") is not None:
                raise typer.BadParameter("a call is one of one instance", param_hint="--call")
            return _many(invocation, verb, choice, given, dry_run=dry_run)

        parameters = [
            each.replace(default=None, annotation=InstanceOption) if name == "instance" else each
            for name, each in own.items()
        ]
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [*(each.replace(kind=_KEYWORD) if i else each for i, each in enumerate(parameters)), *filters.values()]
        )
        return run

    return declare


def _choice(given: dict[str, Any]) -> "Choice":
    from procession.calendars.durations import Duration, DurationUnclear
    from procession.kernel import InstanceState
    from procession.services.choosing import Choice

    started_before = None
    if given["older_than"] is not None:
        try:
            started_before = datetime.now(UTC) - Duration.parse(given["older_than"]).require_calendar_time().length
        except DurationUnclear as error:
            raise typer.BadParameter(f"{error}", param_hint="--older-than") from None
    if given["state"] is not None and given["state"] not in [str(each) for each in InstanceState]:
        raise typer.BadParameter(f"{given['state']!r} is no state of an instance", param_hint="--state")
    return Choice(
        process=given["process"],
        operation=given["operation"],
        started_before=started_before,
        attributes=tuple(_attribute(text) for text in given["attribute"] or ()),
        state=None if given["state"] is None else InstanceState(given["state"]),
        error=given["error"],
        everything=given["everything"],
        undoes=given.get("undo"),
    )


def _attribute(text: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--attribute")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _many(invocation: Invocation, verb: str, choice: "Choice", given: dict[str, Any], *, dry_run: bool) -> int:
    from procession.cli.inputs import read_json
    from procession.services.choosing import Manner, Verb, choose

    if verb == "skip" and choice.operation is None:
        raise typer.BadParameter("many are skipped at one operation", param_hint="--operation")
    if verb == "skip" and not (invocation.reason or "").strip():
        raise typer.BadParameter("a call is skipped for a reason", param_hint="--reason")
    application = invocation.application()
    manner = Manner(
        timers=str(given.get("timers") or "run"),
        force=bool(given.get("force")),
        value=read_json(given["value"], "--value") if "value" in given else "null",
    )
    if manner.timers not in ("run", "stop"):
        raise typer.BadParameter("say run or stop", param_hint="--timers")
    targets = choose(application, Verb(verb), choice, manner)
    if dry_run:
        names = [str(each) for each in targets[:MOST_NAMED]]
        document = {"verb": verb, "number": len(targets), "first": names}
        more = f" and {len(targets) - MOST_NAMED} more" if len(targets) > MOST_NAMED else ""
        invocation.answer(document, lambda: say(f"{len(targets)} to {verb}: {', '.join(names)}{more}."))
        return 0
    return _Bulk(invocation, application, Verb(verb), manner, targets).run()


class _Bulk:
    """One bulk on its way: recorded first, then one order for each, until all are done or somebody stops it."""

    def __init__(
        self,
        invocation: Invocation,
        application: "Application",
        verb: "Verb",
        manner: "Manner",
        targets: "list[Target]",
    ) -> None:
        self._invocation = invocation
        self._application = application
        self._verb = verb
        self._manner = manner
        self._targets = targets
        self._is_stopped = False
        self._done = 0
        self._refused: list[str] = []
        self._halted: dict[str, str] = {}

    def run(self) -> int:
        from procession.api.orders import give_many
        from procession.services.choosing import is_done_already
        from procession.services.commands import RecordBulk

        chosen = shlex.join(sys.argv[1:])[:1_000]
        recorded = self._invocation.give(self._application, RecordBulk(self._verb, chosen, len(self._targets)))
        bulk = int(recorded.answer["bulk"])
        with self._stopping(), self._progress() as progress:

            def answered(order: "Order", came: "dict[str, Any] | ProcessionError") -> None:
                if isinstance(came, ProcessionError) and not is_done_already(self._verb, came):
                    self._refused.append(str(came))
                else:
                    self._done += 1
                    if isinstance(came, dict) and came.get("halted"):
                        self._halted[str(came["instance"])] = str(came["halted"])
                progress(self._done + len(self._refused))

            give_many(self._application, self._orders(bulk), answered)
        self._tell(bulk)
        halted_again = self._halted if self._verb == "retry" else {}
        return 1 if self._refused or self._is_stopped or halted_again else 0

    def _orders(self, bulk: int) -> "Iterator[Order]":
        from procession.services.choosing import command_for, identifier_in_bulk
        from procession.services.commands import Order

        invocation = self._invocation
        for target in self._targets:
            if self._is_stopped:
                return
            command = command_for(self._verb, target, self._manner)
            yield Order(command, invocation.actor, invocation.reason, identifier_in_bulk(bulk, target))

    def _tell(self, bulk: int) -> None:
        number, left = len(self._targets), len(self._targets) - self._done - len(self._refused)
        document = {
            "verb": str(self._verb),
            "bulk": bulk,
            "number": number,
            "done": self._done,
            "refused": self._refused,
            "halted": [*self._halted],
            "left": left,
        }

        def in_words() -> None:
            say(f"{self._verb}: {self._done} of {number} done (bulk {bulk}).")
            for refusal in self._refused[:MOST_NAMED]:
                say(f"- {indented(refusal)}", "red")
            if len(self._refused) > MOST_NAMED:
                say(f"and {len(self._refused) - MOST_NAMED} more were refused.", "red")
            self._tell_of_halts()
            if left:
                say(
                    f"Stopped: {left} are left. Give the same command to go on; what is done is not chosen again.",
                    "yellow",
                )
            if self._verb in _UNDOES and self._done:
                say(f"`procession {_UNDOES[self._verb]} --undo {bulk}` takes it back.")

        self._invocation.answer(document, in_words)

    def _tell_of_halts(self) -> None:
        if not self._halted:
            return
        again = " again" if self._verb == "retry" else ""
        say(f"{len(self._halted)} of them halted{again}; `procession show INSTANCE` says where:", "red")
        for name, why in first_halted(self._halted):
            say(f"- {name}: {indented(why)}", "red")

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        """Ctrl+C stops after the one that is being done."""

        def stop(number: int, frame: object) -> None:
            self._is_stopped = True

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextlib.contextmanager
    def _progress(self) -> Iterator[Callable[[int], None]]:
        if self._invocation.wants_json or not sys.stderr.isatty():
            yield lambda done: None
            return
        from procession.cli.output import console

        of = len(self._targets)
        with console(error=True).status(f"{self._verb}: 0 of {of}") as status:
            yield lambda done: status.update(f"{self._verb}: {done} of {of}. Ctrl+C stops after the present one.")


def first_halted(halts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The first few that halted, each with why; then says how many more there are."""
    yield from [*halts.items()][:MOST_NAMED]
    if len(halts) > MOST_NAMED:
        say(f"and {len(halts) - MOST_NAMED} more; `procession list --state halted` has them all.", "red")
