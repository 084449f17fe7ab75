"""The settings of an application: `procession.toml`, and over it the environment, read once and typed.

Every value knows where it came from, so that `procession config show` and every error can say so.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from procession.errors import OperatorError
from procession.services.toml_lines import TomlLines

SETTINGS_FILE = "procession.toml"
PREFIX = "PROCESSION_"
_NEARLY = 0.85
_MOST_FAULTS = 20

Model = TypeVar("Model", bound=BaseModel)
SettingPath = tuple[str | int, ...]


class BadSettings(OperatorError):
    """`procession.toml`, a variable of the environment or the organisation file cannot be used as it is."""

    code = "bad-settings"


class Table(BaseModel):
    """A table of a settings file: nothing in it that nobody knows, and every value of the type it should have."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ApplicationTable(Table):
    """What is what, and where."""

    name: str = Field(min_length=1)
    packages: list[str] = Field(min_length=1)
    store: str = "procession.db"
    organisation: str = "organisation.toml"
    time_zone: str = "UTC"
    cancel_within: str = "1 day"
    resources_within: str = "30 seconds"
    on_attention: list[str] = Field(default_factory=list)
    secrets: str = ""


class ScheduleTable(Table):
    """A recurring start: which process, with what, when."""

    name: str
    process: str
    when: str
    time_zone: str | None = None
    calendar: str | None = None
    missed: Literal["once", "skip"] = "once"
    paused: bool = False
    input: dict[str, Any] = Field(default_factory=dict)


class LimitTable(Table):
    """How many attempts at a service, or at those of a system, at once and in a minute."""

    at_once: int | None = Field(default=None, ge=1)
    per_minute: int | None = Field(default=None, ge=1)


class DeploymentTable(Table):
    """What differs from one deployment to another."""

    bindings: str | None = None


class SettingsFile(Table):
    """Everything that may stand in `procession.toml`."""

    application: ApplicationTable
    schedule: list[ScheduleTable] = Field(default_factory=list)
    resources: dict[str, str] = Field(default_factory=dict)
    limits: dict[str, LimitTable] = Field(default_factory=dict)
    deployment: DeploymentTable = DeploymentTable()


# PROCESSION_STORE for application.store; a name belongs to the folder, and what is imported or run to the file.
_BY_ENVIRONMENT: Mapping[str, SettingPath] = {
    f"{PREFIX}{name.upper()}": ("application", name)
    for name in ApplicationTable.model_fields
    if name not in ("name", "packages", "on_attention")
} | {f"{PREFIX}BINDINGS": ("deployment", "bindings")}


@dataclass(frozen=True, slots=True)
class Setting:
    """One value: its name (`application.store`), what it is, and where that was said."""

    name: str
    value: object
    origin: str
    """`default`, `procession.toml:4`, or the name of a variable of the environment."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What was read, and from where."""

    file: Path
    tables: SettingsFile
    lines: TomlLines
    overridden: Mapping[SettingPath, str]

    def every(self) -> tuple[Setting, ...]:
        """Every value in force, defaults too."""
        return tuple(Setting(_name(path), value, self.origin(path)) for path, value in _leaves(self.tables, ()))

    def origin(self, path: SettingPath) -> str:
        """Where a value was said: a variable, a line, or nowhere."""
        if path in self.overridden:
            return self.overridden[path]
        line = self.lines.lines.get(path)
        return "default" if line is None else f"{self.file.name}:{line}"

    def place(self, path: SettingPath) -> str:
        """Where a value stands, for an error: the variable, or the file with the line."""
        return self.overridden.get(path) or _place(self.file, self.lines, path)

    def fault(self, path: SettingPath, sentence: str, remedy: str) -> BadSettings:
        """The error for a value that cannot be used."""
        return BadSettings(f"{self.place(path)}: {sentence}", subject=_name(path), remedy=remedy)


def read_settings(file: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """What the file says, and over it the environment. Raises `BadSettings` with everything that is wrong."""
    environment = os.environ if environment is None else environment
    text, content = _content(file)
    lines = TomlLines.of(text)
    overridden = _overridden(environment)
    for path, variable in overridden.items():
        table = content.setdefault(str(path[0]), {})
        if isinstance(table, dict):
            table[str(path[1])] = environment[variable]
    try:
        tables = SettingsFile.model_validate(content)
    except ValidationError as error:
        raise _refusal(file, lines, SettingsFile, error, overridden) from error
    return Settings(file, tables, lines, overridden)


def read_table(file: Path, model: type[Model]) -> Model:
    """A TOML file of its own, such as the organisation's. Raises `BadSettings` with everything that is wrong."""
    text, content = _content(file)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _refusal(file, TomlLines.of(text), model, error, {}) from error


def _content(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except FileNotFoundError as error:
        raise BadSettings(
            f"{file} is missing.", subject=str(file), remedy=f"Make the file, or name it in {SETTINGS_FILE}."
        ) from error
    except OSError as error:
        raise BadSettings(
            f"{file} cannot be read: {error.strerror or error}.", subject=str(file), remedy="Let it be read."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(
            f"{file} is not valid TOML: {error}.", subject=str(file), remedy="Correct the file."
        ) from error


def _overridden(environment: Mapping[str, str]) -> dict[SettingPath, str]:
    """The variable by which each setting is overridden. One that is nearly the name of a setting was meant as one."""
    for variable in environment:
        if variable.startswith(PREFIX) and variable not in _BY_ENVIRONMENT:
            for meant in difflib.get_close_matches(variable, _BY_ENVIRONMENT, 1, _NEARLY):
                raise BadSettings(
                    f"The environment has {variable}, which is no setting.",
                    subject=variable,
                    remedy=f"Did you mean {meant}?",
                )
    return {path: variable for variable, path in _BY_ENVIRONMENT.items() if environment.get(variable)}


def _refusal(
    file: Path, lines: TomlLines, model: type[BaseModel], error: ValidationError, overridden: Mapping[SettingPath, str]
) -> BadSettings:
    faults: list[str] = []
    remedy = "Correct the file."
    # A key that is misspelt is missing too: the slip is told first.
    for problem in sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden"):
        path = tuple(problem["loc"])
        place = overridden.get(path) or _place(file, lines, path)
        if problem["type"] == "extra_forbidden":
            said, meant = _unknown(model, path)
            faults.append(f"{place}: {said}. {meant}")
            remedy = ""
        else:
            faults.append(f"{place}: {_name(path)}: {problem['msg'][:1].lower()}{problem['msg'][1:]}.")
    return BadSettings(" ".join(faults[:_MOST_FAULTS]), subject=str(file), remedy=remedy)


def _unknown(model: type[BaseModel], path: SettingPath) -> tuple[str, str]:
    """What to say of a key that nobody knows: which was meant, else which there are."""
    known = list(_model_at(model, path[:-1]).model_fields)
    return f"there is no setting `{_name(path)}`", told_instead(str(path[-1]), known)


def told_instead(given: str, known: Sequence[str]) -> str:
    """What to say of a name that nothing has: which was meant, else which there are."""
    meant = difflib.get_close_matches(given, known, 1)
    return f"Did you mean `{meant[0]}`?" if meant else f"There are: {', '.join(known) or 'none'}."


def _model_at(model: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel]:
    """The table that a path leads to."""
    annotation: Any = model
    for step in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and step in annotation.model_fields:
            annotation = annotation.model_fields[str(step)].annotation
        elif get_origin(annotation) in (list, dict):
            annotation = get_args(annotation)[-1]
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model


def _leaves(value: object, path: SettingPath) -> Iterator[tuple[SettingPath, object]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves(getattr(value, name), (*path, name))
    elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
        for number, each in enumerate(value):
            yield from _leaves(each, (*path, number))
    elif isinstance(value, dict) and len(path) == 1:
        for name, each in value.items():
            yield from _leaves(each, (*path, name))
    else:
        yield path, value


def _name(path: SettingPath) -> str:
    return "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _place(file: Path, lines: TomlLines, path: SettingPath) -> str:
    line = lines.find(path)
    return str(file) if line is None else f"{file}:{line}"
