"""On which line of a TOML file a value stands: what Python's reader of TOML does not say, and errors must."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TomlPath = tuple[str | int, ...]
"""How a value is reached: `("schedule", 0, "when")`."""


@dataclass(frozen=True, slots=True)
class TomlLines:
    """The line of each table and key of a file."""

    lines: Mapping[TomlPath, int]

    @classmethod
    def of(cls, text: str) -> "TomlLines":
        """Those of a text that is valid TOML."""
        lines: dict[TomlPath, int] = {}
        table: TomlPath = ()
        counted: dict[TomlPath, int] = {}
        for number, statement, content in _statements(text):
            if statement.lstrip().startswith("["):
                table = _table(content, counted)
                lines.setdefault(table, number)
                continue
            for path in _keys(content):
                lines.setdefault(table + path, number)
        return cls(lines)

    def find(self, path: TomlPath) -> int | None:
        """The line of this value, or of what it stands in; None where that is the file."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Each statement with the line it begins on: as few lines as are valid TOML by themselves."""
    gathered, begins = "", 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not gathered:
            begins = number
        gathered += line
        try:
            content = tomllib.loads(gathered)
        except tomllib.TOMLDecodeError:
            continue  # a value over several lines
        if content:
            yield begins, gathered, content
        gathered = ""


def _table(content: Mapping[str, Any], counted: dict[TomlPath, int]) -> TomlPath:
    """The path of a table's head, `{"a": {"b": {}}}` or `{"a": [{}]}`; `counted` says how many of a list there are."""
    path: TomlPath = ()
    value: Any = content
    while value:
        ((name, value),) = value.items()
        path += (name,)
        if isinstance(value, list):
            counted[path] = counted.get(path, 0) + 1
            path += (counted[path] - 1,)
            value = value[0]
        elif path in counted:  # a table inside the last of a list
            path += (counted[path] - 1,)
    return path


def _keys(content: Mapping[str, Any]) -> Iterator[TomlPath]:
    for name, value in content.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, *path) for path in _keys(value))
