"""An application: a folder with `procession.toml` that names the process packages, the store and the organisation."""

import importlib
import os
import pkgutil
import sys
import tomllib
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from procession.errors import AuthorError, OperatorError
from procession.language.registry import Registry
from procession.work.performers import Organisation, Performer

SETTINGS_FILE = "procession.toml"

_Model = TypeVar("_Model", bound=BaseModel)


class NoApplication(OperatorError):
    """There is no `procession.toml` in this folder or above it."""

    code = "no-application"


class BadSettings(OperatorError):
    """`procession.toml` or the organisation file cannot be used as it is."""

    code = "bad-settings"


class PackageNotImportable(AuthorError):
    """A process package raised an error while it was imported, or is not there."""

    code = "package-not-importable"


class _ApplicationTable(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1)
    packages: list[str] = Field(min_length=1)
    store: str = "procession.db"
    organisation: str = "organisation.toml"
    time_zone: str = "UTC"


class _SettingsFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    application: _ApplicationTable


class _PersonTable(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = ""
    email: str = ""
    roles: list[str] = []


class _OrganisationFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    people: dict[str, _PersonTable] = {}


@dataclass(frozen=True, slots=True)
class Application:
    """What `procession.toml` says, read once. Paths are absolute."""

    folder: Path
    name: str
    packages: tuple[str, ...]
    store: Path
    organisation_file: Path
    zone: ZoneInfo

    def load_organisation(self) -> Organisation:
        """The people and their roles. Raises `BadSettings` where the file is missing or wrong."""
        parsed = _parse(self.organisation_file, _OrganisationFile)
        return Organisation({key: Performer(key, frozenset(table.roles)) for key, table in parsed.people.items()})

    def load_modules(self) -> tuple[ModuleType, ...]:
        """Import the process packages, and nothing else. Raises `PackageNotImportable` with the line at fault."""
        folder = str(self.folder)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        modules: list[ModuleType] = []
        for package in self.packages:
            modules.extend(self._load_package(package))
        return tuple(modules)

    def load_registry(self) -> Registry:
        """Everything that the packages declare. Raises `PackageNotImportable` or what the declarations get wrong."""
        return Registry.of(self.load_modules())

    def _load_package(self, package: str) -> list[ModuleType]:
        root = self._import(package)
        modules = [root]
        for found in pkgutil.walk_packages(getattr(root, "__path__", []), prefix=package + "."):
            if not is_test(found.name):
                modules.append(self._import(found.name))
        return modules

    def _import(self, name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except AuthorError:
            raise
        except (Exception, SystemExit) as error:
            raise _not_importable(name, self.folder, error) from error


def is_test(module: str) -> bool:
    """Whether a module belongs to the tests of an application, which an engine does not load."""
    return any(part == "tests" or part.startswith("test_") or part == "conftest" for part in module.split("."))


def _not_importable(name: str, folder: Path, error: BaseException) -> PackageNotImportable:
    if isinstance(error, ModuleNotFoundError) and error.name == name:
        return PackageNotImportable(
            f"There is no package {name!r} in {folder}.",
            subject=name,
            remedy=f"Correct `packages` in {SETTINGS_FILE}, or make the folder {name}/ with an __init__.py.",
        )
    where = ""
    if isinstance(error, SyntaxError):
        where = f" ({error.filename}:{error.lineno})"
    else:
        inside = [
            frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))
        ]
        if inside:
            where = f" ({inside[-1].filename}:{inside[-1].lineno})"
    return PackageNotImportable(
        f"The package {name!r} does not import: {type(error).__name__}: {error}{where}.",
        subject=name,
        remedy="Correct that line; nothing was started.",
    )


def find_application(start: Path) -> Application:
    """The application of a folder: the nearest `procession.toml` in it or above it. Raises `NoApplication`, `BadSettings`."""
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file():
            return open_application(folder)
    raise NoApplication(
        f"There is no {SETTINGS_FILE} in {start} or above it.",
        subject=str(start),
        remedy="Go to an application's folder, name one with --app FOLDER, or make one with `procession new NAME`.",
    )


def open_application(folder: Path) -> Application:
    """The application in exactly this folder. Raises `NoApplication`, `BadSettings`."""
    folder = folder.resolve()
    if not (folder / SETTINGS_FILE).is_file():
        raise NoApplication(
            f"There is no {SETTINGS_FILE} in {folder}.",
            subject=str(folder),
            remedy="Name an application's folder with --app, or make one with `procession new NAME`.",
        )
    table = _parse(folder / SETTINGS_FILE, _SettingsFile).application
    values = _overridden(table, os.environ)
    return Application(
        folder=folder,
        name=values.name,
        packages=tuple(values.packages),
        store=(folder / values.store).resolve(),
        organisation_file=(folder / values.organisation).resolve(),
        zone=_zone(values.time_zone, folder / SETTINGS_FILE),
    )


def _overridden(table: _ApplicationTable, environment: Mapping[str, str]) -> _ApplicationTable:
    """Single settings from PROCESSION_STORE, PROCESSION_ORGANISATION and PROCESSION_TIME_ZONE."""
    changes = {
        name: environment[f"PROCESSION_{name.upper()}"]
        for name in ("store", "organisation", "time_zone")
        if environment.get(f"PROCESSION_{name.upper()}")
    }
    return table.model_copy(update=changes)


def _zone(name: str, source: Path) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadSettings(
            f"{source} names the time zone {name!r}, which does not exist.",
            subject=name,
            remedy='Use a name of the time-zone database, for example time_zone = "Europe/Amsterdam".',
        ) from error


def _parse(path: Path, model: type[_Model]) -> _Model:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadSettings(
            f"{path} is missing.", subject=str(path), remedy="Make the file, or name it in procession.toml."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(
            f"{path} is not valid TOML: {error}.", subject=str(path), remedy="Correct the file."
        ) from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise BadSettings(f"{path}: {problems}.", subject=str(path), remedy="Correct the file.") from error
