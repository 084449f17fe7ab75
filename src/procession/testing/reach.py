"""What the code of a process can reach: its operations, other processes, and the modules that its source is in.

In an application the settings name the packages. A test names a process; what belongs to it is found by following
the names in its code, through plain functions, modules, classes and lists, as far as the author's own modules go.
"""

import functools
import sys
import sysconfig
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

from procession.engine.releases import Release
from procession.language.binding import Binding
from procession.language.operations import BusinessFunction, Operation
from procession.language.process import Process
from procession.language.registry import Registry
from procession.testing.stubs import ServicesAtWork

Declared = Operation[Any, Any] | Process[Any, Any] | BusinessFunction | type
"""What a test names."""

_INSTALLED = tuple({sysconfig.get_paths()[name] for name in ("purelib", "platlib", "stdlib", "platstdlib")})


class Reach:
    """Everything that the processes and operations which a test named can reach; grows with each that is named."""

    def __init__(self) -> None:
        self._found: dict[int, BusinessFunction | Process[Any, Any] | type] = {}
        self._modules: dict[str, ModuleType] = {}
        self._seen: dict[int, object] = {}
        self._packages: set[str] = set()

    def add(self, thing: object) -> bool:
        """Whether anything is reached now that was not before."""
        if id(thing) in self._seen:
            return False
        before = len(self._found)
        if isinstance(thing, Operation | Process | type):
            self._packages.add(thing.__module__.partition(".")[0])
        self._visit(thing)
        return len(self._found) > before

    def registry(self, services: ServicesAtWork, bindings: Iterable[Binding] = ()) -> Registry:
        """What was found, as an application; services are run by `services`. Raises what the declarations get wrong."""
        module = ModuleType("application")
        for number, thing in enumerate(self._found.values()):
            setattr(module, f"thing_{number}", thing)
        registry = Registry.of([module], services.resource_types, bindings)
        stand_ins = {name: services.stand_in(each) for name, each in registry.operations.items()}
        bound = {name: services.stand_in(each) for name, each in registry.bound.items()}
        return replace(registry, operations=MappingProxyType(stand_ins), bound=MappingProxyType(bound))

    def release(self) -> Release:
        """The source that it is in."""
        files = {name: getattr(module, "__file__", None) for name, module in self._modules.items()}
        return Release({name: Path(file).read_text(encoding="utf-8") for name, file in files.items() if file})

    def _visit(self, root: object) -> None:
        waiting = [root]
        while waiting:
            value = waiting.pop()
            if id(value) not in self._seen:
                self._seen[id(value)] = value  # kept, so that no other object gets its number
                waiting.extend(self._next(value))

    def _next(self, value: object) -> Iterable[object]:
        match value:
            case Process():
                self._found[id(value)] = value
                return (value.owner, value.declared.body)
            case Operation():
                self._keep_module(value.__module__)
                return (value.function,)
            case BusinessFunction():
                self._found[id(value)] = value
                return ()
            case FunctionType():
                return self._names_in(value) if self._is_authors(value.__module__) else ()
            case MethodType():
                return (value.__func__, value.__self__)
            case staticmethod() | classmethod():
                return (value.__func__,)
            case functools.partial():
                return (value.func, *value.args, *value.keywords.values())
            case list() | tuple() | set() | frozenset():
                return value
            case Mapping():
                return value.values()
            case type():
                if not self._is_authors(value.__module__):
                    return ()
                self._found[id(value)] = value  # its instances may be messages
                return vars(value).values()
            case _:
                return _attributes(value) if self._is_authors(type(value).__module__) else ()

    def _names_in(self, function: FunctionType) -> Iterable[object]:
        self._keep_module(function.__module__)
        yield from _values_in(function.__closure__ or ())
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
        if wrapped := getattr(function, "__wrapped__", None):
            yield wrapped
        names = _names_of(function.__code__)
        for name in names:
            value = function.__globals__.get(name, sys.modules.get(name))
            if isinstance(value, ModuleType):
                yield from self._members_of(value, names)
            elif value is not None:
                yield value

    def _members_of(self, module: ModuleType, names: Collection[str]) -> Iterable[object]:
        if not self._is_authors(module.__name__):
            return
        for name in names:
            value = vars(module).get(name)
            if isinstance(value, ModuleType):
                yield from self._members_of(value, [each for each in names if each != name])
            elif value is not None:
                yield value

    def _keep_module(self, name: str) -> None:
        if name in sys.modules:
            self._modules[name] = sys.modules[name]

    def _is_authors(self, module: object) -> bool:
        if not isinstance(module, str):
            return False
        package = module.partition(".")[0]
        if package in self._packages:
            return True
        if package == "procession" or package in sys.stdlib_module_names:
            return False
        file = getattr(sys.modules.get(module), "__file__", None)
        return file is not None and not file.startswith(_INSTALLED)


def _names_of(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(_names_of, inner))


def _values_in(cells: Iterable[Any]) -> Iterable[object]:
    for cell in cells:
        try:
            yield cell.cell_contents
        except ValueError:
            pass  # a name that has no value yet


def _attributes(value: object) -> Iterable[object]:
    return getattr(value, "__dict__", {}).values()
