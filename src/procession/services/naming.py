"""How people name an instance, a process or an operation, also after it was renamed; a name that nothing has is refused."""

from collections.abc import Callable

from procession.errors import PerformerError, ProcessionError
from procession.language.process import Process
from procession.language.registry import Registry
from procession.services.settings import told_instead
from procession.store import InstanceFilter, InstanceRow, View


class NoSuchProcess(PerformerError):
    """The application has no process of that name."""

    code = "no-such-process"


class NoSuchOperation(PerformerError):
    """The application has no operation of that name."""

    code = "no-such-operation"


def get_process(registry: Registry, name: str) -> Process[..., object]:
    """The process of that name. Raises `NoSuchProcess` with the one that was meant, or those there are."""
    process = registry.find_process(name)
    if process is None:
        raise _no_process(name, registry)
    return process


def names_of_process(name: str, registry: Registry | None, view: View | None) -> tuple[str, ...]:
    """All names that the store may have instances of a process under. Raises `NoSuchProcess` where there is none.

    Without a registry the application does not load at the moment: then any name will do.
    """
    if registry is None:
        return (name,)
    is_known = registry.find_process(name) is not None
    if not is_known and not (view is not None and view.instances.list(InstanceFilter((name,)), limit=1)):
        raise _no_process(name, registry)
    return registry.names_of_process(name)


def names_of_operation(name: str, registry: Registry | None, view: View | None) -> tuple[str, ...]:
    """All names that the store may have open calls of an operation under. Raises `NoSuchOperation` where there is none."""
    if registry is None:
        return (name,)
    is_known = registry.find_operation(name) is not None
    if not is_known and not (view is not None and name in view.open_operations()):
        raise NoSuchOperation(
            f"There is no operation {name!r}.", subject=name, remedy=told_instead(name, sorted(registry.operations))
        )
    return registry.names_of_operation(name)


def _no_process(name: str, registry: Registry) -> NoSuchProcess:
    return NoSuchProcess(
        f"There is no process {name!r}.", subject=name, remedy=told_instead(name, sorted(registry.processes))
    )


def find_instance(view: View, reference: str, registry: Callable[[], Registry]) -> InstanceRow | None:
    """The instance called `leave-17`, of that UUID, or of `process:business key` under any name its process ever had."""
    found = view.instances.find_named(reference)
    process, separator, key = reference.partition(":")
    if found is not None or not separator:
        return found
    try:
        known = registry().find_process(process)
    except ProcessionError:
        return None  # the application does not load at the moment
    names = () if known is None else (known.name, *known.was)
    rows = (view.instances.find_named(f"{name}:{key}") for name in names)
    return next((row for row in rows if row is not None), None)
