"""How people name an instance, also after its process was renamed."""

from collections.abc import Callable

from procession.errors import ProcessionError
from procession.language.registry import Registry
from procession.store import InstanceRow, View


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
