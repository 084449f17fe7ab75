"""The source that instances run on: the whole tree of the application's packages, kept in the store by digest."""

import hashlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from procession.store.batch import Batch


@dataclass(frozen=True, slots=True)
class Release:
    """The source of an application: text by module name. Its digest is its identity."""

    sources: Mapping[str, str]

    @property
    def digest(self) -> bytes:
        """SHA-256 over module names and the digests of their sources, in order of the names."""
        whole = hashlib.sha256()
        for name, text in sorted(self.sources.items()):
            whole.update(name.encode() + b"\0" + hashlib.sha256(text.encode()).digest())
        return whole.digest()

    def keep(self, batch: Batch, now_us: int) -> int:
        """Keep the release in the store, where it is not there yet, and give its number."""
        known = batch.releases.find_by_digest(self.digest)
        if known is not None:
            return known.id  # the manifest is slow to make: it looks at every file that is installed
        by_digest = {hashlib.sha256(text.encode()).digest(): text for text in self.sources.values()}
        return batch.releases.keep(self.digest, self._manifest(), by_digest, now_us=now_us).id

    def _manifest(self) -> str:
        modules = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(self.sources.items())}
        return json.dumps({"modules": modules, "python": platform.python_version(), "distributions": _distributions()})


def release_of(modules: Iterable[ModuleType]) -> Release:
    """The release that these packages and modules are: every Python file below a package, and each plain module's file."""
    sources: dict[str, str] = {}
    for module in modules:
        if hasattr(module, "__path__"):
            for root in map(Path, module.__path__):
                files = python_files(module.__name__, root)
                sources.update((name, path.read_text(encoding="utf-8")) for name, path in files.items())
        elif module.__file__ is not None:
            sources[module.__name__] = Path(module.__file__).read_text(encoding="utf-8")
    return Release(sources)


def python_files(package: str, root: Path) -> dict[str, Path]:
    """Every Python file of a package whose folder this is, by module name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join((package, *path.relative_to(root).with_suffix("").parts))
        found[name.removesuffix(".__init__")] = path
    return found


def _distributions() -> dict[str, str]:
    """The installed distributions that are imported now, with their versions: recorded, never pinned."""
    imported = {name.partition(".")[0] for name in sys.modules}
    by_package = _distributions_by_package()
    names = sorted({name for package in imported for name in by_package.get(package, ())})
    return {name: _version_of(name) for name in names}


@cache
def _version_of(distribution: str) -> str:
    return importlib.metadata.version(distribution)


@cache
def _distributions_by_package() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()
