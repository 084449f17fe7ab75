"""An application: a folder with `procession.toml` that names the process packages, the store and the organisation."""

import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

from pydantic import Field

from procession.calendars.durations import Duration, DurationUnclear
from procession.errors import AuthorError, OperatorError
from procession.language.binding import Binding
from procession.language.registry import Registry
from procession.services.resources import DeclaredResource, declared_resources
from procession.services.secrets import SecretSources
from procession.services.settings import SETTINGS_FILE, Settings, Table, read_settings, read_table
from procession.work.performers import Organisation, Performer

FOREIGN_FOLDERS = frozenset({"site-packages", "dist-packages"})
"""What a folder is called in which packages of others are installed."""


class NoApplication(OperatorError):
    """There is no `procession.toml` in this folder or above it."""

    code = "no-application"


class PackageNotImportable(AuthorError):
    """A process package raised an error while it was imported, or is not there."""

    code = "package-not-importable"


class _PersonTable(Table):
    name: str = ""
    email: str = ""
    roles: list[str] = Field(default_factory=list)


class _OrganisationFile(Table):
    people: dict[str, _PersonTable] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Application:
    """What `procession.toml` says, read once. Paths are absolute."""

    folder: Path
    name: str
    packages: tuple[str, ...]
    store: Path
    organisation_file: Path
    zone: ZoneInfo
    cancel_within: Duration
    resources_within: Duration
    on_attention: tuple[str, ...]
    settings: Settings

    def load_organisation(self) -> Organisation:
        """The people and their roles. Raises `BadSettings` where the file is missing or wrong."""
        parsed = read_table(self.organisation_file, _OrganisationFile)
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
        return self.registry_of(self.load_modules())

    def registry_of(self, modules: Iterable[ModuleType]) -> Registry:
        """What modules declare, told what the settings say of it."""
        resources = declared_resources(self.settings, self._import)
        return Registry.of(modules, frozenset(each.type_name for each in resources), self.load_bindings())

    def load_bindings(self) -> tuple[Binding, ...]:
        """Who performs what in this deployment. Raises `PackageNotImportable`, `BadSettings` for a module without any."""
        name = self.settings.tables.deployment.bindings
        if not name:
            return ()
        values = vars(self._import(name)).values()
        listed = [each for value in values if isinstance(value, list | tuple) for each in value]
        found = tuple(each for each in (*values, *listed) if isinstance(each, Binding))
        if not found:
            raise self.settings.fault(
                ("deployment", "bindings"),
                f"the module {name} binds nothing.",
                "Write in it `bindings = [bind(operation, performer)]`, or leave the setting out.",
            )
        return found

    @property
    def secret_sources(self) -> SecretSources:
        """Where secrets are: the environment, and the folder of `application.secrets`."""
        folder = self.settings.tables.application.secrets
        return SecretSources(os.environ, (self.folder / folder).resolve() if folder else None)

    def load_resources(self) -> tuple[DeclaredResource, ...]:
        """What services are given, by the settings; nothing is opened. Raises `BadSettings`, `PackageNotImportable`."""
        return declared_resources(self.settings, self._import)

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
        remedy="Correct that line.",
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
    settings = read_settings(folder / SETTINGS_FILE)
    values = settings.tables.application
    return Application(
        folder=folder,
        name=values.name,
        packages=tuple(values.packages),
        store=(folder / values.store).resolve(),
        organisation_file=(folder / values.organisation).resolve(),
        zone=_zone(settings),
        cancel_within=_length(settings, "cancel_within", "1 day"),
        resources_within=_length(settings, "resources_within", "30 seconds"),
        on_attention=_on_attention(settings),
        settings=settings,
    )


def _zone(settings: Settings) -> ZoneInfo:
    name = settings.tables.application.time_zone
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise settings.fault(
            ("application", "time_zone"),
            f"there is no time zone {name!r}.",
            'Use a name of the time-zone database, for example time_zone = "Europe/Amsterdam".',
        ) from error


def _length(settings: Settings, name: str, example: str) -> Duration:
    try:
        return Duration.parse(getattr(settings.tables.application, name)).require_calendar_time()
    except DurationUnclear as error:
        raise settings.fault(("application", name), f"{error}", f'Write it as {name} = "{example}".') from error


def _on_attention(settings: Settings) -> tuple[str, ...]:
    program = tuple(settings.tables.application.on_attention)
    if program and (not program[0].strip() or any("\0" in part for part in program)):
        raise settings.fault(
            ("application", "on_attention"),
            "on_attention names no program.",
            'Write it as on_attention = ["program", "argument"].',
        )
    return program
