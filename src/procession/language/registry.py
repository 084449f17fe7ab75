"""What an application declares: its functions, operations and processes, by name, checked as a whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any

from procession.errors import AuthorError, InvalidValue, NotDeclarable
from procession.language.binding import Binding, people_in_place_of, performers_of
from procession.language.externals import External
from procession.language.messages import is_message_class
from procession.language.operations import BusinessFunction, Operation, Service, Task
from procession.language.process import Process

_MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Registry:
    """The functions and processes of an application by name, and the operations by id ("Front desk.register")."""

    functions: Mapping[str, BusinessFunction]
    operations: Mapping[str, Operation[Any, Any]]
    processes: Mapping[str, Process[Any, Any]]
    former_names: Mapping[str, str]
    """The present id of an operation, by each of its former ones."""
    messages: Mapping[str, tuple[type, ...]] = field(default_factory=dict)
    """The classes that can be messages, by name; of a name that more than one has, none can be."""
    bound: Mapping[str, Operation[Any, Any]] = field(default_factory=dict)
    """Operations that somebody else performs than they say, by id, as they are performed."""

    @classmethod
    def of(
        cls,
        modules: Iterable[ModuleType],
        resources: frozenset[str] = frozenset(),
        bindings: Iterable[Binding] = (),
    ) -> "Registry":
        """What these modules declare or import from others.

        `resources` are the full names of types that the engine gives, `bindings` say who performs what.

        Raises `AuthorError` that lists everything that cannot work, each with file, line and remedy: names that are
        there twice, types that cannot cross, texts that name no input.
        """
        modules = list(modules)
        faults: list[str] = []
        functions: dict[str, BusinessFunction] = {}
        processes: dict[str, Process[Any, Any]] = {}
        for thing in _declared_in(modules):
            if isinstance(thing, Process):
                _keep(processes, thing.name, thing, "processes", faults)
                _keep(functions, thing.owner.name, thing.owner, "functions", faults)
            else:
                _keep(functions, thing.name, thing, "functions", faults)
        operations = {o.id: o for function in functions.values() for o in function.operations.values()}
        for operation in operations.values():
            if isinstance(operation, Service):
                operation.loaded_with(resources)
        for check in (*(o.check for o in operations.values()), *(p.check for p in processes.values())):
            try:
                check()
            except (NotDeclarable, InvalidValue) as error:
                faults.append(str(error))
        former = _former_names(functions.values(), operations, faults)
        if faults:
            raise AuthorError(_told(faults))
        known = MappingProxyType(operations)
        known_processes = MappingProxyType(processes)
        messages = MappingProxyType(_messages_in(modules))
        for process in processes.values():
            process.loaded_with(known, known_processes, messages)
        bound = MappingProxyType(performers_of(bindings, operations, resources))
        return cls(MappingProxyType(functions), known, known_processes, MappingProxyType(former), messages, bound)

    def performer_of(self, operation: Operation[Any, Any]) -> Operation[Any, Any]:
        """The operation as it is performed here: itself, or what it is bound to."""
        return self.bound.get(operation.id, operation)

    def find_task(self, operation_id: str) -> Task[Any, Any, Any] | None:
        """The operation as people do it: as it is bound, or as it was declared; where that is by code, for what was offered before."""
        operation = self.find_operation(operation_id)
        found = next((each for each in self._ways(operation_id) if isinstance(each, Task)), None)
        return found or (people_in_place_of(operation) if operation is not None else None)

    def find_service(self, operation_id: str) -> Service[Any, Any] | None:
        """The operation as code does it: as it is bound, or else as it was declared, for what was asked for before."""
        return next((each for each in self._ways(operation_id) if isinstance(each, Service)), None)

    def find_external(self, operation_id: str) -> External[Any, Any] | None:
        """The operation as an outside system does it: as it is bound, or else as it was declared."""
        return next((each for each in self._ways(operation_id) if isinstance(each, External)), None)

    @property
    def externals(self) -> tuple[External[Any, Any], ...]:
        """Every operation that outside systems may do here."""
        found = (self.find_external(name) for name in self.operations)
        return tuple(each for each in found if each is not None)

    @property
    def services(self) -> tuple[Service[Any, Any], ...]:
        """Every service that may be attempted here."""
        found = (self.find_service(name) for name in self.operations)
        return tuple(each for each in found if each is not None)

    def _ways(self, operation_id: str) -> tuple[Operation[Any, Any], ...]:
        operation = self.find_operation(operation_id)
        return () if operation is None else (self.performer_of(operation), operation)

    def find_operation(self, operation_id: str) -> Operation[Any, Any] | None:
        """The operation of this id, a former one included."""
        return self.operations.get(self.former_names.get(operation_id, operation_id))

    def names_of_operation(self, operation_id: str) -> tuple[str, ...]:
        """All ids that the store may have an operation under, the present one first; the id alone where there is none."""
        present = self.former_names.get(operation_id, operation_id)
        return (present, *(former for former, now in self.former_names.items() if now == present))

    def names_of_process(self, name: str) -> tuple[str, ...]:
        """All names that the store may have a process under, the present one first; the name alone where there is none."""
        found = self.find_process(name)
        return (name,) if found is None else (found.name, *found.was)

    def find_process(self, name: str) -> Process[Any, Any] | None:
        """The process of this name, a former one included."""
        found = self.processes.get(name)
        return found or next((process for process in self.processes.values() if name in process.was), None)


def _declared_in(modules: Iterable[ModuleType]) -> list[BusinessFunction | Process[Any, Any]]:
    found: dict[int, BusinessFunction | Process[Any, Any]] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, BusinessFunction | Process):
                found[id(value)] = value
            elif isinstance(value, Operation):
                found[id(value.function)] = value.function
    return list(found.values())


def _messages_in(modules: Iterable[ModuleType]) -> dict[str, tuple[type, ...]]:
    found: dict[str, tuple[type, ...]] = {}
    for module in modules:
        for value in vars(module).values():
            if is_message_class(value) and not value.__module__.startswith("procession."):
                others = found.get(value.__name__, ())
                found[value.__name__] = others if value in others else (*others, value)
    return found


def _keep(known: dict[str, Any], name: str, thing: Any, what: str, faults: list[str]) -> None:
    earlier = known.setdefault(name, thing)
    if earlier is not thing:
        faults.append(
            f"{thing.where}: there are two {what} named {name!r}; the other is at {earlier.where}. "
            "Name one of them otherwise, or import the one instead of declaring it again."
        )


def _former_names(
    functions: Iterable[BusinessFunction], operations: Mapping[str, Operation[Any, Any]], faults: list[str]
) -> dict[str, str]:
    former: dict[str, str] = {}
    for function in functions:
        for operation in function.operations.values():
            names = [f"{f}.{o}" for f in (function.name, *function.was) for o in (operation.name, *operation.was)]
            for name in names:
                if name == operation.id:
                    continue
                taken = operations.get(name) or operations.get(former.get(name, ""))
                if taken is not None and taken is not operation:
                    faults.append(
                        f"{operation.where}: was names {name!r}, which is also {taken.where}. Drop one of them."
                    )
                former[name] = operation.id
    return former


def _told(faults: list[str]) -> str:
    if len(faults) == 1:
        return faults[0]
    shown = "\n".join(f"  - {fault}" for fault in faults[:_MOST_FAULTS])
    more = f"\n  … and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
    return f"{len(faults)} declarations cannot work:\n{shown}{more}"
