"""Who performs an operation, said outside of it: code in place of people, people in place of code, a stub in place of both.

The process does not change, nor do its histories: a call is of the operation, whoever performs it.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, ParamSpec, TypeVar, overload

from procession.calendars.durations import Duration
from procession.errors import InvalidValue, NotDeclarable
from procession.kernel import CallKind
from procession.language.codec import ArgumentsCodec
from procession.language.declarations import Declared, duration_at, place_of_caller
from procession.language.externals import External, ExternalOptions
from procession.language.functions import Written
from procession.language.operations import (
    Backoff,
    Naming,
    Operation,
    Service,
    ServiceOptions,
    Task,
    TaskOptions,
)
from procession.language.provided import Need, Provisions
from procession.language.selection import Role

P = ParamSpec("P")
R = TypeVar("R")

AnyOperation = Operation[Any, Any]


@dataclass(frozen=True, slots=True)
class People:
    """People as performers: those of a role, who should be done by then."""

    role: str | None
    due: Written | None
    effort: Written | None


def people(role: str | None = None, *, due: Written | None = None, effort: Written | None = None) -> People:
    """People as performers of what is otherwise done by code: those of this role, by default that of the function's name."""
    return People(role, due, effort)


@dataclass(frozen=True, slots=True)
class Outside:
    """An outside system as performer: its program fetches the work under a lease."""

    lease: Written
    due: Written | None
    attempts: int


def outside(*, lease: Written = "10 minutes", due: Written | None = None, attempts: int = 3) -> Outside:
    """An outside system as performer: a program elsewhere fetches the work, as it does that of an external operation."""
    return Outside(lease, due, attempts)


@dataclass(frozen=True, slots=True)
class Stub(Generic[R]):
    """A performer that always gives this result."""

    result: R


def stub(result: R) -> Stub[R]:
    """A performer that does nothing and always gives this result."""
    return Stub(result)


@dataclass(frozen=True, slots=True)
class Binding:
    """An operation and who performs it in this deployment; made by `bind`."""

    operation: Any
    performer: Any
    options: Mapping[str, Any]
    where: str

    def fault(self, sentence: str, remedy: str) -> NotDeclarable:
        """The error for something wrong with it."""
        return NotDeclarable(f"{self.where}: {sentence}", subject=self.where, remedy=remedy)

    @property
    def told(self) -> str:
        """Who performs it, in words."""
        match self.performer:
            case People(role=role):
                return f"people ({role or self.operation.function.name})"
            case Outside():
                return "an outside system"
            case Stub(result=result):
                return f"always {result!r}"
            case _:
                return f"{self.performer.__module__}.{self.performer.__qualname__}"


@overload
def bind(operation: Operation[P, R], performer: People | Outside) -> Binding: ...
@overload
def bind(operation: Operation[P, R], performer: Stub[R]) -> Binding: ...
@overload
def bind(
    operation: Operation[P, R],
    performer: Callable[P, Coroutine[Any, Any, R]],
    *,
    attempts: int = 5,
    timeout: Written = "1 minute",
    backoff: Written = "1 second",
    never_retry: Iterable[type[Exception]] = (),
) -> Binding: ...
@overload
def bind(
    operation: Operation[P, R],
    performer: Callable[P, R],
    *,
    attempts: int = 5,
    timeout: Written = "1 minute",
    backoff: Written = "1 second",
    never_retry: Iterable[type[Exception]] = (),
) -> Binding: ...
def bind(operation: Any, performer: Any, **options: Any) -> Binding:
    """Has an operation performed by somebody else than it says: by a function, `people(…)`, `outside(…)`, or
    `stub(result)`.

    A function takes the same parameters and gives the same result; it is attempted as a service is, and may be given
    resources and secrets. Keep the bindings in the module that `[deployment] bindings` names.
    """
    return Binding(operation, performer, options, place_of_caller())


class CodePerforms(Service[..., Any]):
    """Code in place of whoever performs an operation otherwise; under the operation's identity."""

    def __init__(self, operation: AnyOperation, declared: Declared, options: ServiceOptions) -> None:
        super().__init__(
            declared, operation.function, Naming(operation.title, operation.raises, operation.was), options
        )
        self.operation = operation
        self.id, self.name, self.errors = operation.id, operation.name, operation.errors
        self.starts = operation.kind is not CallKind.SERVICE

    @cached_property
    def inputs(self) -> ArgumentsCodec:
        """How the arguments of a call cross: as those of the operation."""
        return self.operation.inputs

    def call(self, inputs: Mapping[str, Any], provisions: Provisions) -> Any:
        """Calls the function with the inputs, by name, and what the engine fills in; not what a test put in its place."""
        if self.body is not self.declared.body:
            return self.body(**inputs)
        return self.body(**inputs, **provisions.fill(self.needs))


class _StubPerforms(CodePerforms):
    def __init__(self, operation: AnyOperation, declared: Declared, options: ServiceOptions, result: Any) -> None:
        super().__init__(operation, declared, options)
        self.is_async = False
        self._given = result

    def lacks(self, provisions: Provisions) -> tuple[Need, ...]:
        """It needs nothing of what the code needs that it stands in for."""
        return ()

    def call(self, inputs: Mapping[str, Any], provisions: Provisions) -> Any:
        """Gives the result."""
        return self._given if self.body is self.declared.body else self.body(**inputs)


class PeoplePerform(Task[..., Any, Any]):
    """People in place of code; under the operation's identity."""

    def __init__(self, operation: AnyOperation, options: TaskOptions) -> None:
        naming = Naming(operation.title, operation.raises, operation.was)
        super().__init__(operation.declared, operation.function, naming, options)
        self.operation = operation

    def check_body(self) -> None:
        """Its body is the code that people stand in for."""

    @cached_property
    def inputs(self) -> ArgumentsCodec:
        """How the arguments of a call cross: as those of the operation."""
        return self.operation.inputs


class OutsidePerforms(External[..., Any]):
    """An outside system in place of whoever performs an operation otherwise; under the operation's identity."""

    def __init__(self, operation: AnyOperation, options: ExternalOptions) -> None:
        naming = Naming(operation.title, operation.raises, operation.was)
        super().__init__(operation.declared, operation.function, naming, options)
        self.operation = operation

    def check_body(self) -> None:
        """Its body may be the code that the outside system stands in for."""

    @cached_property
    def inputs(self) -> ArgumentsCodec:
        """How the arguments of a call cross: as those of the operation."""
        return self.operation.inputs


def people_in_place_of(operation: AnyOperation) -> PeoplePerform:
    """People of the function's own role, for an item that was offered under a binding which is gone."""
    return PeoplePerform(operation, TaskOptions(None, None, Role(operation.function.name), None))


def performers_of(
    bindings: Iterable[Binding], operations: Mapping[str, AnyOperation], resources: frozenset[str]
) -> dict[str, AnyOperation]:
    """Who performs which operation, by its id. Raises `NotDeclarable` for what cannot be, with both signatures if they differ."""
    found: dict[str, AnyOperation] = {}
    for binding in bindings:
        operation = binding.operation
        if not isinstance(operation, Operation):
            raise binding.fault(f"{operation!r} is no operation.", "Bind a task or a service.")
        if operations.get(operation.id) is not operation:
            raise binding.fault(f"the application does not have {operation.id}.", "Name its package, or drop this.")
        if operation.id in found:
            raise binding.fault(f"{operation.id} is bound twice.", "Drop one of them.")
        found[operation.id] = _performer(binding, operation, resources)
    return found


def _performer(binding: Binding, operation: AnyOperation, resources: frozenset[str]) -> AnyOperation:
    performer, where = binding.performer, binding.where
    if isinstance(performer, People):
        due, effort = performer.due, performer.effort
        return PeoplePerform(
            operation,
            TaskOptions(
                effort=None if effort is None else duration_at(where, "effort", effort, Duration.effort),
                due=None if due is None else duration_at(where, "due", due, _calendar_time),
                by=Role(performer.role or operation.function.name),
                form=None,
            ),
        )
    if isinstance(performer, Outside):
        return OutsidePerforms(
            operation,
            ExternalOptions(
                lease=duration_at(where, "lease", performer.lease, _calendar_time),
                due=None if performer.due is None else duration_at(where, "due", performer.due, _calendar_time),
                attempts=performer.attempts,
            ),
        )
    options = _service_options(binding)
    if isinstance(performer, Stub):
        try:
            operation.result.encode(performer.result)
        except InvalidValue as error:
            raise binding.fault(
                f"{operation.id} cannot be given {performer.result!r}: {error.message}", error.remedy
            ) from None
        return _StubPerforms(operation, operation.declared, options, performer.result)
    if isinstance(performer, Operation):
        raise binding.fault(
            f"{performer.id} is an operation of its own.",
            "Bind to a function, to people(…), to outside(…), or to stub(result).",
        )
    if not callable(performer):
        raise binding.fault(
            f"{operation.id} is bound to nothing: {performer!r} performs nothing.",
            "Bind it to a function, to people(…), to outside(…), or to stub(result).",
        )
    code = CodePerforms(operation, Declared(performer, what="A performer", may_be_sync=True), options)
    code.loaded_with(resources)
    _check_signature(binding, operation, code)
    return code


def _service_options(binding: Binding) -> ServiceOptions:
    options, where = binding.options, binding.where
    return ServiceOptions(
        attempts=options.get("attempts", 5),
        timeout=duration_at(where, "timeout", options.get("timeout", "1 minute"), _calendar_time),
        backoff=Backoff(duration_at(where, "backoff", options.get("backoff", "1 second"), _calendar_time)),
        never_retry=tuple(options.get("never_retry", ())),
    )


def _calendar_time(written: Written) -> Duration:
    return Duration.parse(written).require_calendar_time()


def _check_signature(binding: Binding, operation: AnyOperation, code: CodePerforms) -> None:
    """The function takes what the operation hands over, and gives what it gives."""
    parameters, result = code.declared.resolve()
    filled_in = {need.parameter for need in code.needs}
    taken = {each.name: each.annotation for each in parameters if each.name not in filled_in}
    wanted = {each.name: each.annotation for each in operation.inputs.parameters}
    wanted_result = operation.declared.resolve()[1]
    if taken != wanted or result != wanted_result:
        raise binding.fault(
            f"{operation.id} is `{_signature(wanted, wanted_result)}`, and {code.declared.where} "
            f"is `{_signature(taken, result)}`.",
            "Give the function the same parameters, by name and type, and the same result.",
        )


def _signature(parameters: Mapping[str, Any], result: Any) -> str:
    return f"({', '.join(f'{name}: {_type(each)}' for name, each in parameters.items())}) -> {_type(result)}"


def _type(annotation: Any) -> str:
    return (
        annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)
    )
