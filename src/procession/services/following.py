"""Follows the source of an application while its engine runs: what is saved is taken, and it is said what that means."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from procession.engine.embedded import EmbeddedEngine
from procession.errors import ProcessionError
from procession.services.application import Application
from procession.services.guarding import AtWork
from procession.services.hosting import Host
from procession.services.reloading import SourceNotTaken
from procession.services.replaying import difference_of, running_to_replay
from procession.services.settings import SETTINGS_FILE
from procession.services.sources import files_on_disk

R = TypeVar("R")

LOOKS_EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Behind:
    """A running instance that the source does not fit: it halts as soon as it is to go on."""

    instance: str
    why: str


@dataclass(frozen=True, slots=True)
class SourceNews:
    """Files of the application changed, and the engine runs them now; or it does not, and `problem` says why.

    `replayed` of the `running` instances were replayed on the source; those `behind` halt when they are to go on.
    """

    files: tuple[str, ...]
    problem: str = ""
    running: int = 0
    replayed: int = 0
    behind: tuple[Behind, ...] = ()


async def follow_source(application: Application, host: Host, tell: Callable[[SourceNews], None]) -> None:
    """Take what is on disk whenever that has changed, for as long as nobody cancels it."""
    follower = SourceFollower(application, host, tell)
    while True:
        await asyncio.sleep(LOOKS_EVERY_SECONDS)
        await follower.look()


class SourceFollower:
    """Looks at the files of an application. What changed is taken when it has looked the same twice, so not half saved."""

    def __init__(self, application: Application, host: Host, tell: Callable[[SourceNews], None]) -> None:
        self._application = application
        self._host = host
        self._tell = tell
        self._settings = application.folder / SETTINGS_FILE
        # Nothing is settled but the settings: a file may have been saved since the engine read it.
        self._last: dict[Path, tuple[int, ...]] = {}
        self._settled = {self._settings: _stamp_of(self._settings)}

    async def look(self) -> None:
        """Look once."""
        looks = self._looks()
        is_whole, self._last = looks == self._last, looks
        if looks == self._settled or not is_whole:
            return
        files = [path for path in looks.keys() | self._settled.keys() if looks.get(path) != self._settled.get(path)]
        self._settled = looks
        if self._settings in files:
            problem = "Settings are read when the engine starts: start it again."
            self._tell(SourceNews(self._shown([self._settings]), problem))
            files.remove(self._settings)
        if files:
            await self._take(files)

    async def _take(self, files: list[Path]) -> None:
        before, release = self._host.loaded.files, self._host.engine.release
        try:
            is_other = await self._host.take_present_source()
        except SourceNotTaken as refused:
            cause = refused.__cause__
            problem = f"{cause.message} {cause.remedy}" if isinstance(cause, ProcessionError) else str(refused)
            self._tell(SourceNews(self._shown(files), problem))
            return
        except Exception as error:  # whatever it is, what runs goes on
            self._tell(SourceNews(self._shown(files), f"{type(error).__name__}: {error}"))
            return
        if not is_other:  # saved without a change, or somebody's retry has taken it
            return
        now = self._host.loaded.files
        changed = [path for path in before.keys() | now.keys() if before.get(path) != now.get(path)]
        if self._host.engine.release == release:
            self._tell(SourceNews(self._shown(changed)))
        else:
            self._tell(await self._what_it_means(self._shown(changed)))

    async def _what_it_means(self, files: tuple[str, ...]) -> SourceNews:
        engine, registry = self._host.engine, self._host.loaded.registry
        candidates = running_to_replay(engine.store.readers, registry, engine.release)
        behind = []
        for row, history in candidates.chosen:
            await asyncio.sleep(0)  # what comes in meanwhile need not wait for all of them
            why = difference_of(registry, row, history, _at_work_in(engine, row.id))
            if why is not None:
                behind.append(Behind(row.name, why))
        return SourceNews(files, "", candidates.running, len(candidates.chosen), tuple(behind))

    def _looks(self) -> dict[Path, tuple[int, ...]]:
        paths = {self._settings, *files_on_disk(self._application).values(), *self._host.loaded.files}
        return {path: stamp for path in paths if (stamp := _stamp_of(path))}

    def _shown(self, paths: Iterable[Path]) -> tuple[str, ...]:
        folder = self._application.folder
        return tuple(sorted(str(path.relative_to(folder) if path.is_relative_to(folder) else path) for path in paths))


def _at_work_in(engine: EmbeddedEngine, number: int) -> AtWork:
    def at_work(name: str, work: Callable[[], R], /) -> R:
        return engine.at_work(number, name, work)

    return at_work


def _stamp_of(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino
