"""Operations of outside systems: a program elsewhere fetches the work, does it, and hands in the result."""

from dataclasses import dataclass

from procession.calendars.durations import Duration
from procession.kernel import CallKind
from procession.language.declarations import Declared
from procession.language.operations import BusinessFunction, Naming, P, Personal, R


@dataclass(frozen=True, slots=True)
class ExternalOptions:
    """How work is handed out to an outside system: see `External`."""

    lease: Duration
    due: Duration | None
    attempts: int


class External(Personal[P, R, R]):
    """An operation done by an outside system: its program fetches a call, and completes or fails it.

    Who fetched a call has it for as long as its `lease`, which a heartbeat renews; then it may be fetched again. After
    so many `attempts` it needs attention. `due` is when it should be done after the request.
    """

    kind = CallKind.EXTERNAL

    def __init__(
        self, declared: Declared, function: BusinessFunction, naming: Naming, options: ExternalOptions
    ) -> None:
        super().__init__(declared, function, naming)
        self.lease = options.lease
        self.due = options.due
        self.attempts = options.attempts
        self.check_body()
        if self.lease.length_us <= 0:
            raise declared.fault("lease=0 leaves no time to do anything.", 'Give it time, such as "10 minutes".')
        if self.attempts < 1:
            raise declared.fault(f"attempts={self.attempts}.", "A call is handed out at least once.")

    def check_body(self) -> None:
        """Raises `NotDeclarable` where a program elsewhere is to do what there is code for."""
        if not self.declared.is_left_open:
            raise self.declared.fault(
                "An external operation is done by a program elsewhere, so its body must be `...`, and this one has code.",
                "Leave the body `...`; or make it a service, which this application runs itself.",
            )
