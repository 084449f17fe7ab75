"""The company's directory of accounts, in place of the real one: an outside system that services talk to.

A real one is reached over the network; this one is a file, so that the example runs by itself. What counts is the same:
it is opened once with the engine, and it is told the key of each request, so that one that comes twice is done once.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ACCOUNTS = Path(__file__).parent.parent / "accounts.json"


class Directory:
    """Accounts by the key of the request that asked for them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._accounts: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}

    def add(self, key: str, name: str) -> str:
        """The login for a name; the same again for a request that was made before."""
        if key not in self._accounts:
            self._accounts[key] = self._free_login(name)
            self._keep()
        return self._accounts[key]

    def close(self, login: str) -> None:
        """The account is no more. One that is closed already stays closed."""
        self._accounts = {key: other for key, other in self._accounts.items() if other != login}
        self._keep()

    def _free_login(self, name: str) -> str:
        wanted = "".join(filter(str.isalnum, name.lower()))
        taken = set(self._accounts.values())
        numbered = (f"{wanted}{number}" for number in range(2, len(taken) + 3))
        return next(login for login in (wanted, *numbered) if login not in taken)

    def _keep(self) -> None:
        self._file.write_text(json.dumps(self._accounts, indent=2))


@asynccontextmanager
async def directory() -> AsyncIterator[Directory]:
    """The directory, for as long as the engine runs."""
    yield Directory(ACCOUNTS)
