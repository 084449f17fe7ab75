"""What an application is set up with: every value in force, and where it was said."""

import json
from dataclasses import dataclass

from procession.errors import ProcessionError
from procession.language.provided import MASK
from procession.services.application import Application
from procession.services.resources import secrets_wanted


@dataclass(frozen=True, slots=True)
class SettingShown:
    """One setting: its name as in `procession.toml`, its value, and where that came from.

    `origin` is `default`, a line (`procession.toml:4`), or the name of a variable of the environment.
    """

    name: str
    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of an application, each with its origin, the secrets that it takes, masked, and its bindings."""

    application: str
    file: str
    settings: tuple[SettingShown, ...]
    secrets: tuple[SettingShown, ...]
    bindings: tuple[SettingShown, ...]
    """Who performs an operation otherwise than it says: its name, the performer, and where that is bound."""
    note: str
    """Why secrets and bindings are not known, where the packages do not load."""


def configuration_of(application: Application) -> Configuration:
    """Everything that is set, or is so by default."""
    settings = application.settings
    shown = tuple(SettingShown(each.name, _plain(each.value), each.origin) for each in settings.every())
    try:
        secrets, bindings, note = _secrets(application), _bindings(application), ""
    except ProcessionError as error:
        secrets, bindings, note = (), (), f"Which secrets are taken, and who is bound, is not known: {error.message}"
    return Configuration(application.name, str(settings.file), shown, secrets, bindings, note)


def _bindings(application: Application) -> tuple[SettingShown, ...]:
    """Who performs what in this deployment."""
    return tuple(SettingShown(each.operation.id, each.told, each.where) for each in application.load_bindings())


def _secrets(application: Application) -> tuple[SettingShown, ...]:
    """The secrets that services and resources take, each with where it is and never with what it is."""
    sources = application.secret_sources
    wanted = secrets_wanted(application.load_registry(), application.load_resources())
    shown = []
    for name in wanted:
        origin = sources.origin(name)
        shown.append(SettingShown(name, None if origin is None else MASK, origin or "missing"))
    return tuple(shown)


def _plain(value: object) -> object:
    """A value as JSON has it; TOML has dates and times too."""
    plain: object = json.loads(json.dumps(value, default=str))
    return plain
