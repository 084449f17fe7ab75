"""Every error that Procession raises, drawn as a tree by who must act.

    ProcessionError
    ├── AuthorError        the process author changes source
    ├── OperatorError      whoever runs the engine changes the set-up, or repairs
    ├── PerformerError     whoever gave the command or the answer gives another
    └── InternalError      we made a mistake: please report it

    Raised *inside* process code, for the author to catch or to raise:

    ProcessFailed          the author ends the instance as failed, on purpose
    OperationFailed        a call failed with an error the operation does not declare
    └── Withdrawn          a call was withdrawn by somebody outside the scope that awaits it
    AnswerRefused          a task's body does not accept what the performer handed in

Each error names the thing it is about and what to do; the text of a class's docstring is its documentation.
"""


class ProcessionError(Exception):
    """The root: something about `subject` is wrong; `remedy` says what to do."""

    code = "error"

    def __init__(self, message: str, *, subject: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class AuthorError(ProcessionError):
    """The source of a process or an operation must change."""

    code = "author"


class NotDeclarable(AuthorError):
    """A function, operation or process is declared in a way that cannot work; the message has file and line."""

    code = "not-declarable"


class OutsideProcess(AuthorError):
    """An operation or a process was awaited where no instance runs: start it with `procession start`, or in a test with `world()`."""

    code = "outside-process"


class OperatorError(ProcessionError):
    """The set-up or the state of the engine must change."""

    code = "operator"


class StoreError(OperatorError):
    """The store cannot be used as it is."""

    code = "store"


class StoreNotUsable(StoreError):
    """There can be no store at this path: the folder is missing or not writable, on a network, or SQLite is too old."""

    code = "store-not-usable"


class NotAStore(StoreError):
    """The file is not a store of Procession; it was not touched."""

    code = "not-a-store"


class NewerStore(StoreError):
    """The store was written by a newer Procession; it was not touched."""

    code = "newer-store"


class OlderStore(StoreError):
    """The store was written by an older Procession and not yet migrated; only opening it to write does that."""

    code = "older-store"


class StoreLocked(StoreError):
    """Another engine has the store open; `holder` says which process, on which host, and where it listens."""

    code = "store-locked"

    def __init__(self, message: str, *, holder: object = None, subject: str = "", remedy: str = "") -> None:
        super().__init__(message, subject=subject, remedy=remedy)
        self.holder = holder


class StoreBusy(StoreError):
    """Another program keeps a transaction open on the store's file."""

    code = "store-busy"


class StoreFull(StoreError):
    """The disk is full: nothing more is acknowledged until there is space; nothing acknowledged is lost."""

    code = "store-full"


class StoreFailed(StoreError):
    """The disk failed under the store; what was being committed is unknown until it is opened and read again."""

    code = "store-failed"


class StoreDamaged(StoreError):
    """The store's content contradicts itself: stop, keep the file, restore a backup."""

    code = "store-damaged"


class PerformerError(ProcessionError):
    """The command or the answer cannot be accepted as it was given; nothing was changed."""

    code = "refused"


class InvalidValue(PerformerError):
    """A value does not fit its type. `problems` maps the path of a field ("address.city") to what is wrong with it."""

    code = "invalid-value"

    def __init__(self, message: str, *, problems: dict[str, str], subject: str = "", remedy: str = "") -> None:
        super().__init__(message, subject=subject, remedy=remedy)
        self.problems = problems


class PayloadTooLarge(InvalidValue):
    """A value takes more than a hand-off carries: keep it in a document and hand over where it is."""

    code = "payload-limit"


class InternalError(ProcessionError):
    """Procession itself is wrong. Please report it, with the text of this error."""

    code = "internal"


class ConstraintBroken(InternalError):
    """Rows that contradict each other reached the store; they were refused and nothing was changed."""

    code = "constraint"


class NotRenewed(AuthorError):
    """A process called `renew` while other branches or calls were open: they would be lost."""

    code = "not-renewed"


class ProcessFailed(Exception):
    """Raise this, or a subclass, in process code to end the instance as failed, on purpose."""


class OperationFailed(Exception):
    """A call ended with an error that its operation does not declare, or an operator failed it by hand."""

    def __init__(self, operation: str, type_name: str = "", message: str = "", attempts: int = 0) -> None:
        super().__init__(f"{operation} failed: {message or type_name}")
        self.operation = operation
        self.type_name = type_name
        self.message = message
        self.attempts = attempts


class Withdrawn(OperationFailed):
    """A call was withdrawn by somebody outside the scope that awaits it."""


class AnswerRefused(Exception):
    """Raise this in the body of a task to refuse what the performer handed in; the text is shown to them, at `field` if given."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
