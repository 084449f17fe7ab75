"""What an application is set up with: every value in force, and where it was said."""

from dataclasses import dataclass

from procession.services.application import Application


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
    """The settings of an application, each with its origin."""

    application: str
    file: str
    settings: tuple[SettingShown, ...]


def configuration_of(application: Application) -> Configuration:
    """Everything that is set, or is so by default."""
    settings = application.settings
    shown = tuple(SettingShown(each.name, each.value, each.origin) for each in settings.every())
    return Configuration(application.name, str(settings.file), shown)
