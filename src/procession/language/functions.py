"""Business functions: the modules of a business, each with an owner, that offer operations to its processes."""

from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from typing import Any, Concatenate, Protocol, overload

from procession.calendars.durations import Duration
from procession.language.declarations import Declared, duration_at, former_names, place_of_caller
from procession.language.externals import External, ExternalOptions
from procession.language.operations import (
    Backoff,
    BusinessFunction,
    F,
    Naming,
    P,
    R,
    Service,
    ServiceOptions,
    Task,
    TaskOptions,
)
from procession.language.options import with_options
from procession.language.selection import Role, Selection

Written = str | timedelta
"""A duration as an author writes it."""


class ServiceDecorator(Protocol):
    """Turns an `async def`, or a plain function, into a service with the same arguments and result."""

    @overload
    def __call__(self, body: Callable[P, Coroutine[Any, Any, R]], /) -> Service[P, R]: ...
    @overload
    def __call__(self, body: Callable[P, R], /) -> Service[P, R]: ...


class Function(BusinessFunction):
    """A business function, such as "Front desk": it owns operations, and somebody owns it.

    `name` is its identity in every history and by default the role of its performers; `owner` answers for it, by an
    address; `calendar` names the working calendar that its operations count in; `was` lists former names.
    """

    def __init__(self, name: str, owner: str, *, calendar: str | None = None, was: Iterable[str] = ()) -> None:
        super().__init__(name, owner, calendar=calendar, was=was, where=place_of_caller())

    @overload
    def task(
        self,
        *,
        form: type[F],
        effort: Written | None = None,
        due: Written | None = None,
        by: Selection | None = None,
        title: str | None = None,
        raises: Iterable[type[Exception]] = (),
        was: Iterable[str] = (),
    ) -> Callable[[Callable[Concatenate[F, P], Coroutine[Any, Any, R]]], Task[P, R, F]]: ...
    @overload
    def task(
        self,
        *,
        effort: Written | None = None,
        due: Written | None = None,
        by: Selection | None = None,
        title: str | None = None,
        raises: Iterable[type[Exception]] = (),
        was: Iterable[str] = (),
    ) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Task[P, R, R]]: ...
    @with_options
    def task(
        self,
        *,
        form: Any = None,
        effort: Written | None = None,
        due: Written | None = None,
        by: Selection | None = None,
        title: str | None = None,
        raises: Iterable[type[Exception]] = (),
        was: Iterable[str] = (),
    ) -> Callable[[Callable[..., Coroutine[Any, Any, Any]]], Task[Any, Any, Any]]:
        """Declares an operation done by people: `async def name(inputs) -> result: ...` with the body `...`.

        The signature is what the performer sees and gives, the docstring the instructions. `effort` is the expected
        touch time in working time; `due` when it should be done, counted from the request; `by` who may do it (default:
        the role with the function's name); `title` the label (default: the name); `raises` the errors that whoever
        completes it may give instead of a result; `was` former names.

        With `form=F` the performer hands in an `F`, and the body `(answer: F, *inputs) -> result` checks it, raising
        `AnswerRefused`, or derives the result.
        """

        def declare(body: Callable[..., Coroutine[Any, Any, Any]]) -> Task[Any, Any, Any]:
            declared = Declared(body, what="A task")
            naming = Naming(title, tuple(raises), former_names(was, declared.where))
            options = TaskOptions(
                effort=None if effort is None else duration_at(declared.where, "effort", effort, Duration.effort),
                due=None if due is None else duration_at(declared.where, "due", due, _calendar_time),
                by=by or Role(self.name),
                form=form,
            )
            task: Task[Any, Any, Any] = Task(declared, self, naming, options)
            self.offer(task)
            return task

        return declare

    @with_options
    def external(
        self,
        *,
        lease: Written = "10 minutes",
        due: Written | None = None,
        attempts: int = 3,
        raises: Iterable[type[Exception]] = (),
        title: str | None = None,
        was: Iterable[str] = (),
    ) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], External[P, R]]:
        """Declares an operation done by an outside system, whose program fetches the work: the body is `...`.

        Who fetched a call has it for the length of the `lease`, which heartbeats renew; after that it is handed out again,
        `attempts` times in all, and then needs attention. `due` is when it should be done, counted from the request;
        `raises` are errors that are answers and reach the process; `title` the label; `was` former names.
        """

        def declare(body: Callable[P, Coroutine[Any, Any, R]]) -> External[P, R]:
            declared = Declared(body, what="An external operation")
            naming = Naming(title, tuple(raises), former_names(was, declared.where))
            options = ExternalOptions(
                lease=duration_at(declared.where, "lease", lease, _calendar_time),
                due=None if due is None else duration_at(declared.where, "due", due, _calendar_time),
                attempts=attempts,
            )
            external: External[P, R] = External(declared, self, naming, options)
            self.offer(external)
            return external

        return declare

    @with_options
    def service(
        self,
        *,
        attempts: int = 5,
        timeout: Written = "1 minute",
        backoff: Written | Backoff = "1 second",
        raises: Iterable[type[Exception]] = (),
        never_retry: Iterable[type[Exception]] = (),
        heartbeat: Written | None = None,
        system: str | None = None,
        title: str | None = None,
        was: Iterable[str] = (),
    ) -> ServiceDecorator:
        """Declares an operation done by code: an `async def`, or a plain function, which then runs in a thread.

        `attempts` in all, each at most `timeout` long, with waits between them that begin at `backoff` and double, up
        to an hour; after the last the call needs attention. `raises` are errors that are answers and reach the process;
        those in `never_retry` need attention at once.

        An attempt that does not call `attempt().heartbeat()` for longer than `heartbeat` is given up as if its time were
        up. `system` names the outside system that it calls: what is limited under that name holds for all its services.
        """

        def declare(body: Callable[..., Any]) -> Service[Any, Any]:
            declared = Declared(body, what="A service", may_be_sync=True)
            naming = Naming(title, tuple(raises), former_names(was, declared.where))
            wait = backoff if isinstance(backoff, Backoff) else None
            options = ServiceOptions(
                attempts=attempts,
                timeout=duration_at(declared.where, "timeout", timeout, _calendar_time),
                backoff=wait or Backoff(duration_at(declared.where, "backoff", backoff, _calendar_time)),
                never_retry=tuple(never_retry),
                heartbeat=(
                    None if heartbeat is None else duration_at(declared.where, "heartbeat", heartbeat, _calendar_time)
                ),
                system=system,
            )
            service: Service[Any, Any] = Service(declared, self, naming, options)
            self.offer(service)
            return service

        return declare


def _calendar_time(written: Written) -> Duration:
    return Duration.parse(written).require_calendar_time()
