"""Source loaded from the store: what a running engine runs, or the last one ran, whatever is on disk meanwhile."""

import importlib
import json
import linecache
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType

from procession.engine.releases import Release
from procession.language.registry import Registry
from procession.services.application import Application, is_test
from procession.services.limiting import limits_of
from procession.services.reloading import Loaded, forget_modules, restore_modules
from procession.services.scheduling import schedules_of
from procession.services.sources import files_on_disk
from procession.store import View, open_readers
from procession.store.releases import ReleaseRow


def find_stored(application: Application, view: View, release: int) -> Registry | None:
    """What the packages declared in this release. None where the store does not have it, or it does not load by itself.

    This Python then has that source for the application's modules, unless it had them before.
    """
    row = view.release(release)
    sources = {} if row is None else _sources_of(view, row)
    if not sources:
        return None
    before = forget_modules(application)
    finder = _StoredModules(application, sources)
    sys.meta_path.insert(0, finder)
    if str(application.folder) not in sys.path:
        sys.path.insert(0, str(application.folder))
    try:
        modules = [importlib.import_module(name) for name in sorted(sources) if not is_test(name)]
        return application.registry_of(modules)
    except (Exception, SystemExit):  # it needs what is not there any more: a file beside it, a library
        forget_modules(application)
        return None
    finally:
        sys.meta_path.remove(finder)
        if before:
            restore_modules(application, before)


def load_stored(application: Application) -> Loaded | None:
    """The application on the source that came last into the store. None where there is none, or it does not load by itself."""
    if not application.store.exists():
        return None
    readers = open_readers(application.store)
    try:
        with readers.snapshot() as view:
            newest = view.newest_release()
            registry = None if newest is None else find_stored(application, view, newest.id)
            if newest is None or registry is None:
                return None
            release = Release(_sources_of(view, newest))
    finally:
        readers.close()
    schedules = schedules_of(application, registry)
    limits_of(application.settings, registry)
    return Loaded(registry, application.load_organisation(), schedules, release, {})


def _sources_of(view: View, release: ReleaseRow) -> dict[str, str]:
    digests: dict[str, str] = json.loads(release.manifest).get("modules", {})
    texts = {name: view.source(bytes.fromhex(digest)) for name, digest in digests.items()}
    return {name: text for name, text in texts.items() if text is not None}


class _StoredModules(MetaPathFinder, Loader):
    """Finds modules among texts. They say that they are where they were, so that what lies beside them is found."""

    def __init__(self, application: Application, sources: Mapping[str, str]) -> None:
        self._folder = application.folder
        self._sources = sources
        self._present = files_on_disk(application)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module, where it is one of the texts."""
        if fullname not in self._sources:
            return None
        file = self._present.get(fullname) or self._former_place(fullname)
        is_package = file.name == "__init__.py"
        spec = spec_from_loader(fullname, self, origin=str(file), is_package=is_package)
        assert spec is not None
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [str(file.parent)]
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Run the text; its lines are shown instead of those of the file."""
        assert module.__file__ is not None
        text = self._sources[module.__name__]
        linecache.cache[module.__file__] = (len(text), None, text.splitlines(keepends=True), module.__file__)
        code: CodeType = compile(text, module.__file__, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - the application's own source, as the engine loaded it

    def _former_place(self, name: str) -> Path:
        place = self._folder.joinpath(*name.split("."))
        has_parts = place.is_dir() or any(other.startswith(name + ".") for other in self._sources)
        return place / "__init__.py" if has_parts else place.with_suffix(".py")
