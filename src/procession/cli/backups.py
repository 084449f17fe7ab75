"""`procession backup` and `restore`: a copy of everything, and the way back to it."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from procession.cli.command import RUNNING, Invocation, command
from procession.cli.output import local, plural, say

if TYPE_CHECKING:
    from datetime import tzinfo

    from procession.services.backups import BackupSeen, StoreRestored


def declare(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    command(app, "backup", example="procession backup /backups/leave-monday.db", panel=RUNNING)(backup)
    command(app, "restore", example="procession restore /backups/leave-monday.db", panel=RUNNING)(restore)


def backup(
    invocation: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; there must be no such file yet.")],
) -> None:
    """Copy the store to a file, also while an engine runs, and verify every row of the copy."""
    from procession.services.backups import back_up

    application = invocation.application()
    with _progress(invocation, "Copying") as progress:
        made = back_up(application, file, progress)

    def in_words() -> None:
        say(f"{made.file}: {made.bytes / 1_000_000:.1f} MB, {plural(made.verified, 'recorded row')} verified.")
        _tell_findings(made.findings)

    invocation.answer(made, in_words)


def restore(
    invocation: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Into another folder than the application's.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Have a backup be the store, where no engine runs; the present store is kept beside it under a dated name."""
    from datetime import datetime

    from procession.services import backups

    application = invocation.application()
    store = application.store if to is None else backups.store_of(to, application)
    backups.require_no_engine(store)
    seen = backups.look_at(file)
    if not yes and not _agrees(invocation, seen, store, application.zone):
        say("Nothing was changed.")
        return 1
    with _progress(invocation, "Copying") as progress:
        restored = backups.restore(file, store, now=datetime.now(application.zone), progress=progress)
    invocation.answer(restored, lambda: _show(restored))
    return 0


def _agrees(invocation: Invocation, seen: "BackupSeen", store: Path, zone: "tzinfo") -> bool:
    """Whether whoever gives the command knows what it means: a store runs code."""
    if not invocation.may_ask:
        raise typer.BadParameter(
            "a store runs code: its instances go on where they were. Say --yes where nobody can be asked",
            param_hint="--yes",
        )
    until = f"until {local(seen.until, zone)}" if seen.until else "with nothing in it"
    say(f"{seen.file}: {plural(seen.instances, 'instance')}, {plural(seen.open_instances, 'open one')}, {until}.")
    say(
        f"A store runs code. Once an engine runs on it, its open instances go on from there: {plural(seen.timers, 'timer')} "
        f"and {plural(seen.service_calls, 'service call')} are due in it, and what was done since then is not in it, so it may be "
        "done again."
    )
    return typer.confirm(f"Have it be the store {store}?")


def _show(restored: "StoreRestored") -> None:
    say(
        f"{restored.store} is the backup now: {restored.bytes / 1_000_000:.1f} MB, {plural(restored.verified, 'recorded row')} verified."
    )
    if restored.old is not None:
        say(f"What was there is kept: {restored.old}")
    _tell_findings(restored.findings)
    say("Its instances go on with `procession serve`; `procession doctor` examines it before.")


def _tell_findings(findings: tuple[str, ...]) -> None:
    for finding in findings:
        say(f"Somebody should look at this: {finding}", "yellow")


@contextlib.contextmanager
def _progress(invocation: Invocation, doing: str) -> Iterator[Callable[[int, int], None]]:
    """How far it is, on a terminal."""
    if invocation.wants_json or not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from procession.cli.output import console

    with console(error=True).status(doing) as status:
        yield lambda done, of: status.update(f"{doing}: {100 * done // max(of, 1)} %, then every row is verified")
