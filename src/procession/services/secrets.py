"""Secrets: from the environment or a file, never from `procession.toml`, and never shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from procession.errors import OperatorError

LONGEST_BYTES = 64_000


class SecretMissing(OperatorError):
    """A secret that a service or a resource takes is nowhere; the engine does not start without it."""

    code = "secret-missing"


class SecretUnreadable(OperatorError):
    """The file that holds a secret cannot be read, is too long, or is not text."""

    code = "secret-unreadable"


@dataclass(frozen=True, slots=True)
class SecretSources:
    """Where secrets are looked for: a variable of that name, the file that NAME_FILE names, a file in the folder."""

    environment: Mapping[str, str]
    folder: Path | None

    def origin(self, name: str) -> str | None:
        """Where the secret is; None where it is nowhere."""
        if self.environment.get(name):
            return name
        file = self._file(name)
        return None if file is None else str(file)

    def find(self, name: str) -> str | None:
        """The secret itself. Raises `SecretUnreadable`."""
        if value := self.environment.get(name):
            return value
        file = self._file(name)
        return None if file is None else _content(name, file)

    def read(self, wanted: Mapping[str, Iterable[str]]) -> dict[str, str]:
        """The secrets of these names; `wanted` says of each who takes it. Raises `SecretMissing` with all that are nowhere."""
        found = {name: self.find(name) for name in wanted}
        missing = [name for name, value in found.items() if value is None]
        if missing:
            told = "; ".join(f"{name}, which {', '.join(sorted(wanted[name]))} takes" for name in missing)
            places = f"{missing[0]}, or {missing[0]}_FILE to the name of a file that holds it"
            beside = f", or make the file {self.folder / missing[0]}" if self.folder is not None else ""
            raise SecretMissing(
                f"There is no secret {told}.", subject=missing[0], remedy=f"Set the variable {places}{beside}."
            )
        return {name: value for name, value in found.items() if value is not None}

    def _file(self, name: str) -> Path | None:
        if named := self.environment.get(f"{name}_FILE"):
            return Path(named)
        inside = None if self.folder is None else self.folder / name
        return inside if inside is not None and inside.is_file() else None


def _content(name: str, file: Path) -> str:
    try:
        raw = file.read_bytes()
        if len(raw) > LONGEST_BYTES:
            raise ValueError(f"it has more than {LONGEST_BYTES:,} bytes")
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretUnreadable(
            f"The secret {name} cannot be read from {file}: {why}.", subject=name, remedy="Let the engine read it."
        ) from error
