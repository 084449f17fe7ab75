"""What undoes what was done: noted by a process, and done when its instance is cancelled or fails."""

from typing import Any

from procession import kernel
from procession.errors import OutsideProcess
from procession.language.operations import Operation, P


def compensate(operation: Operation[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
    """Has this operation done if the instance is cancelled or fails, before all that was noted so far.

    A service that declares its `undo` notes that by itself. Raises `InvalidValue` if an argument does not fit its type.
    """
    if kernel.current() is None:
        raise OutsideProcess(
            "compensate() was used where no instance runs.", subject="compensate", remedy="Use it in a process."
        )
    kernel.compensate(operation.undoing(args, kwargs))
