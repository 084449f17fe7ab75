"""The source that is on disk now, loaded into a Python that has loaded an earlier one: as a program that starts would."""

import importlib
import importlib.util
import linecache
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from procession.engine.releases import Release, release_of
from procession.errors import AuthorError, ProcessionError
from procession.language.registry import Registry
from procession.services.application import FOREIGN_FOLDERS, Application
from procession.services.limiting import limits_of
from procession.services.scheduling import Schedule, schedules_of
from procession.services.sources import files_on_disk
from procession.work.performers import Organisation

Modules = Mapping[str, ModuleType]


class SourceNotTaken(AuthorError):
    """The source on disk does not load, so the engine that runs goes on with the one that it has."""

    code = "source-not-taken"


@dataclass(frozen=True, slots=True)
class Loaded:
    """An application's source, imported: what it declares, its people, what it starts when, and what its files were like."""

    registry: Registry
    organisation: Organisation
    schedules: tuple[Schedule, ...]
    release: Release
    files: Mapping[Path, bytes]


def load(application: Application) -> Loaded:
    """Import the application. Raises what the organisation file, the packages or the schedules get wrong."""
    files = _files_of(application)  # before they are read: one that is saved meanwhile is then another one
    organisation = application.load_organisation()
    modules = application.load_modules()
    registry = application.registry_of(modules)
    schedules = schedules_of(application, registry)
    limits_of(application.settings, registry)
    return Loaded(registry, organisation, schedules, release_of(modules), {**_files_of(application), **files})


def is_newer_on_disk(application: Application, loaded: Loaded) -> bool:
    """Whether a file of the application is another one than what was loaded, or was not there then."""
    if any(_digest_of(path) != digest for path, digest in loaded.files.items()):
        return True
    return any(path not in loaded.files for path in files_on_disk(application).values())


def load_anew(application: Application, loaded: Loaded) -> tuple[Loaded, Modules]:
    """Import what is on disk in place of what was loaded; gives the modules too that it took the place of.

    Raises `SourceNotTaken` where it does not load; then all is as it was.
    """
    before = forget_modules(application)
    for path, digest in _files_of(application).items():
        linecache.cache.pop(str(path), None)
        if path.suffix == ".py" and loaded.files.get(path) != digest:
            _remove_bytecode(path)
    importlib.invalidate_caches()
    try:
        return load(application), before
    except BaseException as error:
        restore_modules(application, before)
        if not isinstance(error, ProcessionError):
            raise
        raise SourceNotTaken(
            f"The present source cannot be taken: {error.message}",
            subject=error.subject,
            remedy="Correct it, and give the command again; the engine goes on with the source that it has.",
        ) from error


def fault_on_disk(application: Application) -> str:
    """Why the source on disk does not load; nothing where it does. This Python keeps the modules that it has."""
    before = forget_modules(application)
    for path in files_on_disk(application).values():
        _remove_bytecode(path)
    importlib.invalidate_caches()
    try:
        application.load_registry()
        return ""
    except ProcessionError as error:
        return error.message
    finally:
        restore_modules(application, before)


def forget_modules(application: Application) -> Modules:
    """Take the application's modules away from Python, so that the next import reads them; gives what they were."""
    names = [name for name, module in list(sys.modules.items()) if _is_of(application, name, module)]
    return {name: sys.modules.pop(name) for name in names}


def restore_modules(application: Application, modules: Modules) -> None:
    """Put modules back in place of whatever was imported since they were taken away."""
    forget_modules(application)
    for name, module in modules.items():
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent in sys.modules:
            setattr(sys.modules[parent], child, module)


def _is_of(application: Application, name: str, module: ModuleType | None) -> bool:
    """Whether a module is one of the packages', or another one in the application's own folder."""
    if any(name == package or name.startswith(package + ".") for package in application.packages):
        return True
    file = getattr(module, "__file__", None)
    if file is None or name == "__main__":
        return False
    path = Path(file)
    return (
        path.is_relative_to(application.folder)
        and not path.is_relative_to(sys.prefix)
        and not FOREIGN_FOLDERS & set(path.parts)
    )


def _files_of(application: Application) -> dict[Path, bytes]:
    """What the files of the application are like: those of its packages, other modules beside them, its people."""
    paths = {application.organisation_file, *files_on_disk(application).values()}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and _is_of(application, name, module):
            paths.add(Path(file))
    return {path: _digest_of(path) for path in paths}


def _digest_of(path: Path) -> bytes:
    try:
        return sha256(path.read_bytes()).digest()
    except OSError:
        return b""


def _remove_bytecode(path: Path) -> None:
    """Python takes bytecode for present whose source has the same size and the same second."""
    try:
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    except OSError:
        pass
