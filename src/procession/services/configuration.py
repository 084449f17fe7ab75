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
    """The settings of an application, each with its origin, and the secrets that it takes, masked."""

    application: str
    file: str
    settings: tuple[SettingShown, ...]
    secrets: tuple[SettingShown, ...]
    note: str
    """Why the secrets are not known, where the packages do not load."""


def configuration_of(application: Application) -> Configuration:
    """Everything that is set, or is so by default."""
    settings = application.settings
    shown = tuple(SettingShown(each.name, _plain(each.value), each.origin) for each in settings.every())
    try:
        secrets, note = _secrets(application), ""
    except ProcessionError as error:
        secrets, note = (), f"Which secrets are taken is not known: {error.message}"
    return Configuration(application.name, str(settings.file), shown, secrets, note)


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
