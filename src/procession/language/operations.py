"""Operations: what a business function offers. Called in a process like any coroutine, done by people or by code.

The object that `@function.task` or `@function.service` leaves in place of the author's function is the operation. It
knows how its inputs and its result cross a hand-off, and what the performer is to be told; not who that is, nor when.
"""

import copy
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast

from procession import kernel
from procession.calendars.durations import Duration
from procession.errors import InvalidValue, NotDeclarable, OutsideProcess
from procession.kernel import NO_TERMS, Call, CallKind, Compensation, Terms, WorkCall
from procession.language.codec import ArgumentsCodec, ValueCodec
from procession.language.declarations import Declared, checked_name, former_names
from procession.language.failures import DeclaredErrors
from procession.language.fields import label_of
from procession.language.overrides import Overrides, checked_rule, chosen_by
from procession.language.provided import Need, Provisions, needs_among, refuse_marks
from procession.language.selection import Selection
from procession.language.signed import Signed

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F")


AN_HOUR = Duration.parse("1 hour")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait between the attempts of a service: `first`, then `factor` times as long each, up to `longest`."""

    first: Duration
    factor: float = 2.0
    longest: Duration = AN_HOUR

    def delay_us(self, attempt: int) -> int:
        """Microseconds to wait after this attempt (the first is 1). Who waits adds the jitter."""
        grown = self.first.length_us * self.factor ** min(attempt - 1, 64)
        return int(min(grown, self.longest.length_us))


@dataclass(frozen=True, slots=True)
class Naming:
    """What every operation may be given beside its own options."""

    title: str | None
    raises: tuple[type[Exception], ...]
    was: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How a task is given to people: see `Task`."""

    effort: Duration | None
    due: Duration | None
    by: Selection
    form: Any


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How a service is attempted: see `Service`."""

    attempts: int
    timeout: Duration
    backoff: Backoff
    never_retry: tuple[type[Exception], ...]
    heartbeat: Duration | None = None
    system: str | None = None


class BusinessFunction:
    """A business function as operations and processes know it: its name, its owner, and what it offers.

    Authors make a `Function`, which adds the decorators that declare operations.
    """

    def __init__(self, name: str, owner: str, *, calendar: str | None, was: Iterable[str], where: str) -> None:
        self.where = where
        self.name = checked_name(name, "name of a function", where)
        if "." in name:
            raise NotDeclarable(
                f"{where}: the function name {name!r} has a full stop, which separates it from its operations.",
                subject=name,
                remedy="Leave it out.",
            )
        self.owner = checked_name(owner, "owner of a function", where)
        self.calendar = calendar
        self.was = former_names(was, where)
        self._operations: dict[str, Operation[Any, Any]] = {}

    @property
    def operations(self) -> "Mapping[str, Operation[Any, Any]]":
        """The operations that it offers, by name."""
        return MappingProxyType(self._operations)

    def offer(self, operation: "Operation[Any, Any]") -> None:
        """Adds an operation. Raises `NotDeclarable` if there is another of its name."""
        earlier = self._operations.setdefault(operation.name, operation)
        if earlier is not operation:
            raise NotDeclarable(
                f"{operation.where}: {self.name} already has an operation `{operation.name}`, at {earlier.where}.",
                subject=operation.id,
                remedy="Name one of them otherwise: an operation is known by its function's name and its own.",
            )

    def __repr__(self) -> str:
        return f"<function {self.name}>"


class Operation(Signed[R], Generic[P, R]):
    """Something a business function offers. `await operation(...)` asks for it and waits for its result.

    `id` is its identity in every history: the function's name and its own. `title` is the label for people, free to
    change; `instructions` is the docstring.
    """

    kind: CallKind

    def __init__(self, declared: Declared, function: "BusinessFunction", naming: Naming) -> None:
        super().__init__(declared)
        self.function = function
        self.id = f"{function.name}.{declared.name}"
        self.title = checked_name(naming.title or label_of(declared.name), "title", declared.where)
        self.instructions = declared.docstring
        self.raises = naming.raises
        self.was = former_names(naming.was, declared.where)
        self.errors = DeclaredErrors(naming.raises, operation=self.id, where=declared.where)

    def check(self) -> None:
        """Resolves all types. Raises `NotDeclarable`, with file and line, for what cannot work."""
        if not isinstance(self, Service):
            refuse_marks(self.declared, self._signature[0])
        for parameter in self.inputs.parameters:
            if not parameter.required:
                place = f"{self.where}: the default of `{parameter.name}`"
                _check_default(parameter.default, parameter.annotation, place)
        _ = self.result
        self.errors.check()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, R]:
        """Asks for the operation when first awaited, and gives its result.

        Raises the errors that it declares, `OperationFailed`, `Withdrawn`; `InvalidValue` if an argument does not fit
        its type; `OutsideProcess` where no instance runs.
        """
        # Not Coroutine[Any, Any, R]: the type of `asyncio.gather` over different operations would become Any for mypy.
        return kernel.to_be_awaited(self._perform(args, kwargs), self.name)

    async def _perform(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        if kernel.current() is None:
            raise self._outside()
        raw = self._written(args, kwargs)
        return await kernel.perform(
            self.kind, self.id, raw, decode=self._recorded, rebuild=self.errors.rebuild, terms=self._terms(raw)
        )

    def request(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Asks for the operation at once and gives the call: `await call` is its result, `await call.started()` its start.

        The call ends with the branch that requested it, or by `call.withdraw(reason)`.
        """
        if kernel.current() is None:
            raise self._outside()
        raw = self._written(args, kwargs)
        return kernel.request(
            self.kind, self.id, raw, decode=self._recorded, rebuild=self.errors.rebuild, terms=self._terms(raw)
        )

    def undoing(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Compensation:
        """This operation with these arguments, to be done when the instance undoes what it did."""
        return Compensation(self.kind, self.id, self._written(args, kwargs))

    def _terms(self, raw: bytes) -> Terms:
        """What a call with these inputs asks for otherwise than is declared."""
        return NO_TERMS

    @property
    def known_as(self) -> str:
        """Its identity in every history."""
        return self.id

    def _outside(self) -> OutsideProcess:
        return OutsideProcess(
            f"{self.id} was called where no instance runs.",
            subject=self.id,
            remedy="Call it in a process, and start that with `procession start`, or in a test with `world()`.",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.id}>"


class Personal(Operation[P, R], Generic[P, R, F]):
    """An operation done by people, or by an outside system. `F` is what the performer hands in."""

    derives = False

    def __init__(self, declared: Declared, function: "BusinessFunction", naming: Naming) -> None:
        super().__init__(declared, function, naming)
        self._overrides = Overrides()
        # A list, so that what `options` gave before knows a rule that is declared later.
        self._rules: list[Callable[..., Selection]] = []

    def options(
        self,
        *,
        by: Selection | None = None,
        due: str | timedelta | datetime | None = None,
        priority: object = None,
    ) -> Self:
        """The same operation, asked for otherwise: `await approve.options(due="1 day")(days)`.

        `by` says who may do it; `due` when it should be done: a duration from the request, or a moment. What is not
        given stays as it is declared. There are no priorities yet: `priority` is refused.
        """
        if by is not None:
            self._check_is_for_people(f"options(by={by!s})")
        other = copy.copy(self)
        other._overrides = self._overrides.with_these(by, due, priority)
        return other

    def performers(self, rule: Callable[P, Selection]) -> Callable[P, Selection]:
        """Declares who may do it, by the inputs: a function of the same parameters below `@approve.performers`.

        It is asked when the operation is, and counts instead of the `by` that is declared; `options(by=…)` counts most.
        """
        self._check_is_for_people("performers")
        names = self.declared.parameter_names
        checked_rule(rule, names[1:] if self.derives else names, self.id)
        if self._rules:
            raise self.declared.fault(f"There are two rules for who may do {self.id}.", "Leave one of them out.")
        self._rules.append(rule)
        return rule

    def _check_is_for_people(self, option: str) -> None:
        if self.kind is not CallKind.TASK:
            raise self.declared.fault(f"`{option}` says who may do it, and no person does it.", "Leave it out.")

    def undoing(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Compensation:
        noted = super().undoing(args, kwargs)
        return self._overrides.of_later(replace(noted, offered_to=self._offered_to(noted.input)))

    def _terms(self, raw: bytes) -> Terms:
        return Terms(self._overrides.due_us(), self._offered_to(raw))

    def _offered_to(self, raw: bytes) -> str | None:
        by = self._overrides.by
        if by is None and self._rules:
            by = chosen_by(self._rules[0], self.id, self.inputs.call(self.inputs.decode(raw)))
        return None if by is None else by.name

    def request(self, *args: P.args, **kwargs: P.kwargs) -> WorkCall[R]:
        """Asks for the operation at once and gives the call, as `Operation.request` does. `pick` takes it as an alternative."""
        return cast("WorkCall[R]", super().request(*args, **kwargs))


class Task(Personal[P, R, F]):
    """An operation done by people: they see the inputs, read the instructions, and fill in the form.

    `effort` is the expected touch time (working time), `due` when it should be done after the request, `by` who may do
    it. `form` is what the performer hands in; `derives` tells whether the body turns it into the result.
    """

    kind = CallKind.TASK

    def __init__(self, declared: Declared, function: "BusinessFunction", naming: Naming, options: TaskOptions) -> None:
        super().__init__(declared, function, naming)
        self.effort = options.effort
        self.due = options.due
        self.by = options.by
        form = self._form = options.form
        self.derives = form is not None
        if form is None:
            self.check_body()
        if form is not None and not declared.parameter_names:
            raise declared.fault(
                "A task with form=… takes what the performer hands in as its first parameter, and has none.",
                f"Write `async def {declared.name}(answer: {getattr(form, '__name__', '…')}, …)`.",
            )

    def check_body(self) -> None:
        """Raises `NotDeclarable` where people are to do what there is code for."""
        if not self.declared.is_left_open:
            raise self.declared.fault(
                "A task is done by people, so its body must be `...`, and this one has code.",
                "Leave the body `...`; or give form=… if the body checks what the performer hands in; "
                "or make it a service if a program does the work.",
            )

    @cached_property
    def inputs(self) -> ArgumentsCodec:
        """How the arguments of a call cross: the parameters, without what the performer hands in."""
        shown = self._signature[0][1:] if self.derives else self._signature[0]
        return ArgumentsCodec(shown, callee=self.known_as, where=self.where)

    @cached_property
    def form(self) -> ValueCodec[F]:
        """How what the performer hands in crosses; without `form=` that is the result."""
        annotation = self._form if self.derives else self._signature[1]
        return ValueCodec(annotation, where=f"the answer to {self.where}")

    def check(self) -> None:
        """Resolves all types. Raises `NotDeclarable`, with file and line, for what cannot work."""
        super().check()
        _ = self.form
        if self.derives and (first := self._signature[0][0]).annotation != self._form:
            raise self.declared.fault(
                f"Its first parameter `{first.name}` is not of the type that form=… names.",
                "What the performer hands in comes as the first parameter: give both the same type.",
            )

    def derive(self, answer: F, inputs: Mapping[str, Any]) -> Awaitable[R]:
        """Runs the body on what the performer handed in; its result is the result of the call.

        The body may raise `AnswerRefused`. Only for a task with `form=` (`derives`).
        """
        positional, by_name = self.inputs.call(inputs)
        outcome: Awaitable[R] = self.declared.body(answer, *positional, **by_name)
        return outcome


Undo = TypeVar("Undo", bound=Operation[Any, Any])


class Service(Operation[P, R]):
    """An operation done by code, which may do input and output.

    A technical failure is tried again up to `attempts` times, waiting by `backoff`; then the call needs attention. One
    attempt takes at most `timeout`, and may not be silent for longer than `heartbeat`. `system` is the outside system that
    it calls, which may have limits of its own. An error in `never_retry` needs attention at once; one in `raises` is an answer.
    `is_async` is False for a plain function, which runs in a thread.
    """

    kind = CallKind.SERVICE
    _undo: Operation[Any, Any] | None = None
    starts = False
    """Whether whoever waits for the start of a call is told of it: where code stands in for people."""

    def __init__(
        self, declared: Declared, function: "BusinessFunction", naming: Naming, options: ServiceOptions
    ) -> None:
        super().__init__(declared, function, naming)
        self.attempts = options.attempts
        self.timeout = options.timeout
        self.backoff = options.backoff
        self.never_retry = options.never_retry
        self.heartbeat = options.heartbeat
        self.system = options.system
        if self.attempts < 1:
            raise declared.fault(f"attempts={self.attempts}.", "A service is attempted at least once.")
        if self.timeout.length_us <= 0:
            raise declared.fault("timeout=0 leaves no time to do anything.", 'Give it time, such as "30 seconds".')
        if self.heartbeat is not None and self.heartbeat.length_us <= 0:
            raise declared.fault("heartbeat=0 leaves no time to beat.", 'Give it time, such as "30 seconds".')
        if self.system is not None:
            checked_name(self.system, "system of a service", declared.where)
            if "." in self.system:
                raise declared.fault(
                    f"system={self.system!r} has a full stop, as only operations have.", "Leave it out."
                )
        self.body = declared.body
        self.is_async = declared.is_async
        self._resources: frozenset[str] = frozenset()

    def undo(self, operation: Undo) -> Undo:
        """Declares what undoes this service: an operation that takes its result. It is done when an instance is cancelled or fails.

        `@reserve.undo` stands above the operation's own declaration. Newest first, once for each result.
        """
        if self._undo is not None:
            raise operation.declared.fault(f"{self.id} has the undo {self._undo.id} already.", "Leave one of them out.")
        self._undo = operation
        return operation

    def check(self) -> None:
        """Resolves all types. Raises `NotDeclarable`, with file and line, for what cannot work."""
        super().check()
        if self._undo is None:
            return
        needed = [each for each in self._undo.inputs.parameters if each.required]
        if len(needed) != 1 or needed[0].annotation != self._signature[1] or needed[0].keyword_only:
            raise self._undo.declared.fault(
                f"It is to undo {self.id}, and does not take the result of that alone, which is of the type that it returns.",
                f"Give it one parameter, of the type that {self.name} returns.",
            )

    def _terms(self, raw: bytes) -> Terms:
        return NO_TERMS if self._undo is None else Terms(undo=self._undoing)

    def _undoing(self, value: bytes) -> Compensation:
        assert self._undo is not None
        return self._undo.undoing((self._recorded(value),), {})

    def loaded_with(self, resources: frozenset[str]) -> None:
        """Tells the service of which types the application has resources."""
        if resources != self._resources:
            self._resources = resources
            vars(self).pop("needs", None)
            vars(self).pop("inputs", None)

    @cached_property
    def needs(self) -> tuple[Need, ...]:
        """The parameters that the engine fills in."""
        return needs_among(self._signature[0], self._resources, self.where)

    @cached_property
    def inputs(self) -> ArgumentsCodec:
        """How the arguments of a call cross: the parameters, without what the engine fills in."""
        filled_in = {need.parameter for need in self.needs}
        handed_over = tuple(each for each in self._signature[0] if each.name not in filled_in)
        return ArgumentsCodec(handed_over, callee=self.known_as, where=self.where)

    def lacks(self, provisions: Provisions) -> tuple[Need, ...]:
        """What its body needs, and is not there. A body that a test put in its place needs nothing."""
        return () if self.body is not self.declared.body else provisions.missing(self.needs)

    def call(self, inputs: Mapping[str, Any], provisions: Provisions) -> Any:
        """Calls the body with the inputs and what the engine fills in."""
        if not self.needs or self.body is not self.declared.body:
            positional, by_name = self.inputs.call(inputs)
            return self.body(*positional, **by_name)
        values = {**inputs, **provisions.fill(self.needs)}
        first = [each.name for each in self._signature[0] if each.positional_only]
        return self.body(
            *(values[name] for name in first), **{name: values[name] for name in values if name not in first}
        )


def _check_default(default: Any, annotation: Any, where: str) -> None:
    try:
        ValueCodec[Any](annotation, where=where).encode(default)
    except InvalidValue as error:
        raise NotDeclarable(str(error), subject=where, remedy="Correct the default or the type.") from None
