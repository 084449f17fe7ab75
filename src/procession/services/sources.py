"""The source of an application as it stands on disk, and whether the engine that runs has taken it. Nothing is imported."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from importlib.machinery import PathFinder
from pathlib import Path

from procession.engine.releases import Release, python_files
from procession.services.application import Application
from procession.services.records import moment
from procession.store import LockHolder, View, find_holder


@dataclass(frozen=True, slots=True)
class NewerSource:
    """An engine runs, and the source on disk is another one: since when it runs its own, and a file that changed when.

    `release` is the number under which the store has what the engine runs; `changed` is None for a file that is gone.
    """

    release: int
    loaded: datetime
    file: str
    changed: datetime | None

    def told(self, zone: tzinfo) -> str:
        """One line for whoever looks at the application."""
        what = "is gone" if self.changed is None else f"changed at {_clock(self.changed, zone)}"
        return (
            f"The engine runs the source of {_clock(self.loaded, zone)}; {self.file} {what}. "
            "`procession retry` of a halted instance or a restart takes it."
        )


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
    changed = [path for name, path in present.items() if recorded.get(name) != _digest_of(path)]
    if changed:
        latest = max(changed, key=_changed_at)
        return _newer(application, holder, latest, datetime.fromtimestamp(_changed_at(latest), UTC))
    gone = sorted(recorded.keys() - present.keys())
    if gone:
        return _newer(application, holder, application.folder.joinpath(*gone[0].split(".")).with_suffix(".py"), None)
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


def _newer(application: Application, holder: LockHolder, file: Path, changed: datetime | None) -> NewerSource:
    assert holder.release is not None
    shown = file.relative_to(application.folder) if file.is_relative_to(application.folder) else file
    return NewerSource(holder.release, moment(holder.source_us or holder.since_us), str(shown), changed)


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
