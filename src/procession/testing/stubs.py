"""What services do in a test: themselves, or what a stub says in their place. Faults come on demand."""

import asyncio
import contextvars
import copy
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, cast

from procession.engine.service_threads import ServiceThreads
from procession.errors import AuthorError
from procession.language.externals import External
from procession.language.operations import Operation, P, R, Service
from procession.language.provided import Need, Provisions, type_name_of
from procession.testing.real_io import Guard, kept_inside

AnyService = Service[..., Any]


class StubHasNoAnswer(AuthorError):
    """In a test a service with a stub was called once more than the stub says what to do."""

    code = "stub-has-no-answer"


class NotAService(AuthorError):
    """In a test a stub was put in the place of something that people do: let a person do it."""

    code = "not-a-service"


class NotAFault(AuthorError):
    """In a test a stub was to fail with what is no error, or less than once."""

    code = "not-a-fault"


class IsNotProvided(AuthorError):
    """In a test a service ran that needs a resource or a secret, and the test has provided none."""

    code = "is-not-provided"


class Stub(Generic[P, R]):
    """Stands in for a service, or an outside program: `fails(…, times=2)`, then for good `returns(…)` or `does(…)`."""

    def __init__(self, operation: Operation[P, R]) -> None:
        self._operation = operation
        self._faults: deque[BaseException] = deque()
        self._body: Callable[..., Any] | None = None
        self.attempts = 0
        """How many attempts were made since the stub is there."""

    def fails(self, error: Exception, times: int = 1) -> "Stub[P, R]":
        """So many attempts raise this error; one that the operation declares goes to the process."""
        if not isinstance(cast(object, error), Exception) or times < 1:
            raise NotAFault(
                f"A stub of {self._operation.id} cannot fail with {error!r}, {times} times.",
                subject=self._operation.id,
                remedy='Give an error that is raised once or more: .fails(ConnectionError("down"), times=2).',
            )
        self._faults.extend([error] * times)
        return self

    def returns(self, result: R) -> "Stub[P, R]":
        """Every attempt then gives this result. Raises `InvalidValue` if it is not of the operation's type."""
        self._operation.result.encode(result)
        self._body = lambda *_, **__: result
        return self

    def does(self, body: Callable[P, R | Awaitable[R]]) -> "Stub[P, R]":
        """Every attempt then calls this, with the inputs of the call."""
        self._body = body
        return self

    async def _attempt(self, *args: Any, **kwargs: Any) -> Any:
        self.attempts += 1
        if self._faults:
            raise self._faults.popleft()
        if self._body is not None:
            outcome = self._body(*args, **kwargs)
            return await outcome if inspect.isawaitable(outcome) else outcome
        if self._operation.result.annotation in (None, type(None)):
            return None
        raise StubHasNoAnswer(
            f"The stub of {self._operation.id} does not say what attempt {self.attempts} gives.",
            subject=self._operation.id,
            remedy="Add .returns(…), or .does(…), or more .fails(…, times=…).",
        )


async def attempt_at(stub: Stub[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What one attempt at what a stub stands in for gives. Raises what it fails with."""
    return await stub._attempt(*args, **kwargs)


class ServicesAtWork:
    """Runs the attempts at services in a test. `tell` is given what must fail the test."""

    def __init__(self, tell: Callable[[Exception], None], *, may_go_outside: bool) -> None:
        self._tell = tell
        self._may_go_outside = may_go_outside
        self._stubs: dict[str, Stub[..., Any]] = {}
        self._resources: dict[str, object] = {}
        self._secrets: dict[str, str] = {}
        self._in_threads: list[str] = []
        self._threads = ServiceThreads(lambda: None)
        self._dies_in: set[str] = set()
        self.running = 0
        """How many attempts run."""
        self.has_died = False
        """Whether an attempt was to end the machine, and has come to that point."""

    def stub(self, operation: Operation[P, R]) -> Stub[P, R]:
        """Put a stub in the place of the code that performs an operation."""
        stub = Stub(operation)
        self._stubs[operation.id] = stub
        return stub

    def die_in(self, service: AnyService) -> None:
        """The machine dies in the next attempt at this service, after its work is done."""
        self._dies_in.add(service.id)

    def stand_in(self, operation: Operation[..., Any]) -> Operation[..., Any]:
        """The operation as the engine of a test knows it: a service runs here, everything else is as it is."""
        if not isinstance(operation, Service):
            return operation
        found = copy.copy(operation)
        found.body = self._body_for(operation)
        found.is_async = True
        return found

    def provide(self, resources: Iterable[object], secrets: Mapping[str, str]) -> None:
        """Give services these resources, by their classes and those they are made from, and these secrets."""
        for each in resources:
            for cls in type(each).__mro__[:-1]:
                self._resources[type_name_of(cls)] = each
        self._secrets.update(secrets)

    @property
    def resource_types(self) -> frozenset[str]:
        """The full names of the types of which there are resources."""
        return frozenset(self._resources)

    def in_threads(self) -> list[str]:
        """The services that threads work on; one that was given up counts until it returns."""
        return [*self._in_threads, *["a service that was given up"] * self._threads.abandoned]

    def let_go(self) -> None:
        """Wait for threads no longer."""
        self._in_threads = []
        self._threads = ServiceThreads(lambda: None)

    def _body_for(self, service: AnyService) -> Any:
        async def body(*args: Any, **kwargs: Any) -> Any:
            return await self._attempt(service, args, kwargs)

        return body

    async def _attempt(self, service: AnyService, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        guard = None if self._may_go_outside else Guard(service.id, self._tell)
        self.running += 1
        try:
            with kept_inside(guard):
                result = await self._work(service, args, kwargs)
            if service.id in self._dies_in:
                self._dies_in.discard(service.id)
                self.has_died = True
                await asyncio.get_running_loop().create_future()  # until the engine is dropped
            return result
        except (StubHasNoAnswer, IsNotProvided) as fault:
            self._tell(fault)
            raise
        finally:
            self.running -= 1

    async def _work(self, service: AnyService, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if (stub := self._stubs.get(service.id)) is not None:
            return await attempt_at(stub, args, kwargs)
        inputs, provisions = service.inputs.bind(args, kwargs), Provisions(self._resources, self._secrets)
        if missing := service.lacks(provisions):
            raise _is_not_provided(service, missing[0])
        if service.is_async:
            return await service.call(inputs, provisions)
        context = contextvars.copy_context()
        threads = self._threads
        with self._counted(service.id):
            return await threads.run(lambda: context.run(service.call, inputs, provisions))

    @contextmanager
    def _counted(self, name: str) -> Any:
        self._in_threads.append(name)
        try:
            yield
        finally:
            if name in self._in_threads:
                self._in_threads.remove(name)


def _is_not_provided(service: AnyService, need: Need) -> IsNotProvided:
    if need.secret is not None:
        what, how = f"the secret {need.secret}", f'world.provide({need.secret}="…")'
    else:
        what, how = f"a resource of the type {need.type_name}", "world.provide(…)"
    return IsNotProvided(
        f"{service.id} needs {what}, and the test provides none.",
        subject=service.id,
        remedy=f"Put a stub in its place: world.stub(…).returns(…); or provide it: {how}.",
    )


def check_is_service(operation: object) -> None:
    """Raises `NotAService` for what people do."""
    if not isinstance(operation, Service):
        name = cast(Any, operation).id if isinstance(operation, Operation) else repr(operation)
        raise NotAService(
            f"{name} is not a service, so no stub can stand in for it.",
            subject=name,
            remedy="Let a person do it: world.person(…).complete(…), or .answers(…) for each time it is asked.",
        )


def check_may_be_stubbed(operation: object) -> None:
    """Raises `NotAService` for what people do, and for what is no operation."""
    if not isinstance(operation, External):
        check_is_service(operation)
