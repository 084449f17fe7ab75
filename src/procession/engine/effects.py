"""What follows a commit: attempts to run and to stop, the next due time, and what watchers are told."""

from dataclasses import dataclass, field

from procession.engine.dispatcher import AttemptToRun


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened to an instance, in words, for whoever watches the engine."""

    at_us: int
    instance: str
    text: str


@dataclass(slots=True)
class Effects:
    """Collected while a batch is decided, carried out once it is durable, dropped with it otherwise.

    `room` is how many more attempts may begin; `halted` gives the reason by instance.
    """

    room: int = 0
    attempts: list[AttemptToRun] = field(default_factory=list)
    stopped: list[tuple[int, int]] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    halted: dict[int, str] = field(default_factory=dict)
    due_us: int | None = None
    notices: list[Notice] = field(default_factory=list)

    def expect(self, due_us: int) -> None:
        """Something is due then."""
        if self.due_us is None or due_us < self.due_us:
            self.due_us = due_us
