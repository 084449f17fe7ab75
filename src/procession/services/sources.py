"""The source of an application as it stands on disk, and whether the engine that runs has taken it. Nothing is imported."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from hashlib import sha256
from importlib.machinery import PathFinder
from pathlib import Path

from procession.engine.releases import Release, python_files
from procession.services.application import Application
from procession.services.records import moment
from procession.services.settings import SETTINGS_FILE
from procession.store import View, find_holder


@dataclass(frozen=True, slots=True)
class NewerSource:
    """An engine runs, and the source on disk is another one: since when it runs its own, and what is different.

    `release` is the number under which the store has what the engine runs. `change` is of a file, with when it changed, or
    of the settings, which only an engine that starts reads.
    """

    release: int
    loaded: datetime
    change: str
    changed: datetime | None = None
    is_of_settings: bool = False

    def told(self, zone: tzinfo) -> str:
        """One line for whoever looks at the application."""
        when = "" if self.changed is None else f" at {_clock(self.changed, zone)}"
        taken_by = "A restart" if self.is_of_settings else "`procession retry` of a halted instance or a restart"
        return f"The engine runs the source of {_clock(self.loaded, zone)}; {self.change}{when}. {taken_by} takes it."


def find_newer_source(application: Application, view: View) -> NewerSource | None:
    """Where the engine that runs has not taken what is on disk: what differs. None where no engine runs."""
    holder = find_holder(application.store)
    if holder is None or holder.release is None or holder.socket is None:
        return None
    release = view.release(holder.release)
    if release is None:
        return None
    recorded: dict[str, str] = json.loads(release.manifest).get("modules", {})
    present = files_on_disk(application)
    newer = partial(NewerSource, holder.release, moment(holder.source_us or holder.since_us))
    for package in application.packages:
        if not any(_is_in(name, package) for name in recorded):
            return newer(f"{SETTINGS_FILE} names the package {package} now", is_of_settings=True)
    for name in sorted(recorded):
        if not any(_is_in(name, package) for package in application.packages):
            return newer(f"{SETTINGS_FILE} does not name the package {name} any more", is_of_settings=True)
    changed = [path for name, path in present.items() if recorded.get(name) != _digest_of(path)]
    if changed:
        latest = max(changed, key=_changed_at)
        at = datetime.fromtimestamp(_changed_at(latest), UTC)
        return newer(f"{_shown(application, latest)} changed", changed=at)
    gone = sorted(recorded.keys() - present.keys())
    if gone:
        return newer(f"the module {gone[0]} is gone")
    return None


def files_on_disk(application: Application) -> dict[str, Path]:
    """Every Python file of the application's packages, by module name."""
    found: dict[str, Path] = {}
    for package in application.packages:
        place = application.folder.joinpath(*package.split("."))
        if not place.is_dir() and not place.with_suffix(".py").is_file():
            place = _installed(package) or place
        if place.is_dir():
            found.update(python_files(package, place))
        elif place.with_suffix(".py").is_file():
            found[package] = place.with_suffix(".py")
    return found


def release_on_disk(application: Application) -> Release:
    """The release that an engine would run that starts now."""
    return Release({name: _text_of(path) for name, path in files_on_disk(application).items()})


def _installed(package: str) -> Path | None:
    """Where a package is that is not in the application's folder."""
    first, *rest = package.split(".")
    spec = PathFinder.find_spec(first)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).joinpath(*rest)
    return Path(spec.origin) if spec.origin is not None else None


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _shown(application: Application, file: Path) -> Path:
    return file.relative_to(application.folder) if file.is_relative_to(application.folder) else file


def _digest_of(path: Path) -> str:
    return sha256(_text_of(path).encode()).hexdigest()


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _changed_at(path: Path) -> float:
    """When it came to stand there: a file that was moved over another keeps the time of its last change."""
    try:
        status = path.stat()
    except OSError:
        return 0.0
    return max(status.st_mtime, status.st_ctime)


def _clock(at: datetime, zone: tzinfo) -> str:
    here = at.astimezone(zone)
    return f"{here:%H:%M}" if here.date() == datetime.now(zone).date() else f"{here:%Y-%m-%d %H:%M}"
