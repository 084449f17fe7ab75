"""Processes: an `async def` that may be started as an instance, and what the kernel needs in order to run one."""

import hmac
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Generic, Never, cast

from procession import kernel
from procession.errors import InvalidValue, OutsideProcess
from procession.kernel import Call, CallKind, CallRequested, HaltInstance, Program, RequestCall
from procession.language.codec import ArgumentsCodec, ValueCodec
from procession.language.declarations import Declared, former_names
from procession.language.failures import DeclaredErrors, ErrorCodec, failing
from procession.language.fields import label_of
from procession.language.messages import same_message
from procession.language.names import normal_name
from procession.language.operations import BusinessFunction, Operation, P, R
from procession.language.options import with_options
from procession.language.provided import refuse_marks
from procession.language.signed import Signed
from procession.language.templates import Template, title_text

OTHER_INSTANCES = frozenset({CallKind.CHILD, CallKind.START})
"""The kinds of calls that name a process, and no operation."""


class Process(Signed[R], Generic[P, R]):
    """A process: its `async def`, its owner, and how its inputs and its result cross.

    `name` is its identity, the name of the function; `label` the first line of the docstring.
    """

    def __init__(
        self,
        declared: Declared,
        owner: BusinessFunction,
        *,
        title: str | None,
        key: str | None,
        key_forever: bool,
        was: Iterable[str],
    ) -> None:
        if not isinstance(owner, BusinessFunction):
            raise declared.fault(
                f"owner={owner!r} is not a business function.",
                'Write owner=team, where team = Function("Team", owner="…").',
            )
        super().__init__(declared)
        self.owner = owner
        self.key_forever = key_forever
        self.was = former_names(was, declared.where)
        self.label = declared.docstring.partition("\n")[0].strip().rstrip(".") or label_of(declared.name)
        self.title = Template(title, option="title", where=self.where) if title is not None else None
        self.key = Template(key, option="key", where=self.where) if key is not None else None
        self._operations: Mapping[str, Operation[Any, Any]] = {}
        self._processes: Mapping[str, Process[Any, Any]] = {}
        self._messages: Mapping[str, tuple[type, ...]] = {}
        self._declared: Mapping[type[Exception], ErrorCodec] = {}
        self.errors = DeclaredErrors((), operation=self.name, where=self.where)
        if self.key is not None and not self.key.names_something:
            raise declared.fault(f"key={key!r} is the same for every instance.", "Name an input: key={order.number}.")
        if key_forever and self.key is None:
            raise declared.fault("key_forever=True without a key.", "Give key=… too.")

    def check(self) -> None:
        """Resolves all types. Raises `NotDeclarable`, with file and line, for what cannot work."""
        refuse_marks(self.declared, self._signature[0])
        _ = self.result
        for template in (self.title, self.key):
            if template is not None:
                template.check(self.inputs.parameters)

    def title_for(self, values: Mapping[str, Any]) -> str:
        """The title of an instance with these inputs. Raises `NotFilledIn`."""
        return (title_text(self.title.fill(values)) if self.title else "") or self.label

    def key_for(self, values: Mapping[str, Any]) -> str | None:
        """The business key of an instance with these inputs, None if the process has none.

        Raises `InvalidValue` if the inputs give no name that can be a key, `NotFilledIn` if they give none at all.
        """
        return normal_name(self.key.fill(values), what="business key") if self.key else None

    def loaded_with(
        self,
        operations: Mapping[str, Operation[Any, Any]],
        processes: Mapping[str, "Process[Any, Any]"] = MappingProxyType({}),
        messages: Mapping[str, tuple[type, ...]] = MappingProxyType({}),
    ) -> None:
        """Tells the process what the application has: to compare inputs by value, and to know declared errors."""
        self._operations = operations
        self._processes = processes
        self._messages = messages
        self._declared = {cls: codec for each in operations.values() for cls, codec in each.errors.codecs.items()}
        self.errors = DeclaredErrors(self._declared, operation=self.name, where=self.where)

    def program(self, secret: bytes) -> Program:
        """What the kernel runs. `secret` is the instance's key for the digests of inputs."""
        operations, processes, declared = self._operations, self._processes, self._declared
        messages = self._messages

        def same_input(recorded: CallRequested, made: RequestCall) -> bool:
            if made.kind is CallKind.TIMER or recorded.digest == input_digest(secret, made.input):
                return True
            known: Mapping[str, Signed[Any]] = processes if made.kind in OTHER_INSTANCES else operations
            called = known.get(made.operation)
            return called is not None and _equal_by_value(called.inputs, recorded.input, made.input)

        encode_result = cast(Callable[[object], bytes], self.result.encode)  # it checks what it is given
        return Program(
            main=self._run,
            encode_result=encode_result,
            failure_of=partial(failing, declared=declared),
            same_input=same_input,
            same_message=lambda recorded, made: same_message(messages.get(made.message, ()), recorded, made),
        )

    def _run(self, raw: bytes) -> Coroutine[Any, Any, object]:
        try:
            values = self.inputs.decode(raw)
        except InvalidValue as error:
            raise HaltInstance(
                "divergence", f"The recorded input does not fit the present parameters of {self.name}: {error}"
            ) from error
        positional, by_name = self.inputs.call(values)
        running: Coroutine[Any, Any, object] = self.declared.body(*positional, **by_name)
        return running

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, R]:
        """Starts a child instance when first awaited, and gives its result.

        Raises what the child failed with: an error that an operation declares, else `OperationFailed`; `Withdrawn` where
        somebody cancelled it; `InvalidValue` if an argument does not fit its type; `OutsideProcess` where no instance runs.
        Cancelling the wait cancels the child.
        """
        return kernel.to_be_awaited(self._perform(args, kwargs), self.name)

    async def _perform(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        raw = self._handed_over(args, kwargs)
        return await kernel.perform(CallKind.CHILD, self.name, raw, decode=self._recorded, rebuild=self.errors.rebuild)

    def request(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Starts a child instance at once and gives the call: `await call` is its result.

        The child is cancelled by `call.withdraw(reason)`, or with the branch that requested it.
        """
        raw = self._handed_over(args, kwargs)
        return kernel.request(CallKind.CHILD, self.name, raw, decode=self._recorded, rebuild=self.errors.rebuild)

    def start(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, str]:
        """Starts an instance on its own when first awaited, and gives its name at once: it outlives the one that started it.

        Where an open instance has its business key, the same input gives the name of that one; with another input it
        raises `OperationFailed`.
        """
        return kernel.to_be_awaited(self._start(args, kwargs), f"{self.name}.start")

    async def _start(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        raw = self._handed_over(args, kwargs)
        return await kernel.perform(
            CallKind.START, self.name, raw, decode=name_codec().decode, rebuild=self.errors.rebuild
        )

    def finish(self, result: R) -> Coroutine[object, object, Never]:
        """Ends the instance with this result, from any branch: everything else is withdrawn, and no clean-up does anything.

        Never returns. What `compensate` noted is not done. While the instance is cancelled or fails, only the branch ends.
        """
        return kernel.to_be_awaited(self._finish(result), f"{self.name}.finish")

    async def _finish(self, result: R) -> Never:
        self._require_own("finish")
        await kernel.finish(result)

    def renew(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, Never]:
        """Begins anew with these inputs and a short history: for what goes on for years.

        Never returns. It is the same instance: name, key, attributes and what is to be undone stay. Raises `NotRenewed`
        while other branches or calls are open.
        """
        return kernel.to_be_awaited(self._renew(args, kwargs), f"{self.name}.renew")

    async def _renew(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Never:
        self._require_own("renew")
        raw = self._written(args, kwargs)
        if self.title is not None:
            self.title_for(self.inputs.decode(raw))
        await kernel.renew(raw)

    def _require_own(self, what: str) -> None:
        if not kernel.runs(self._run):
            raise OutsideProcess(
                f"{self.name}.{what}() was called where no instance of {self.name} runs.",
                subject=self.name,
                remedy=f"Call it in the process {self.name} itself, or in what that calls.",
            )

    def _handed_over(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The inputs of another instance, encoded; what can be no key or title of it is refused here, where the author sees it."""
        if kernel.current() is None:
            raise OutsideProcess(
                f"The process {self.name} was called where no instance runs.",
                subject=self.name,
                remedy=f"Start it with `procession start {self.name}`, or in a test with `world()`.",
            )
        raw = self._written(args, kwargs)
        self._check_is_named(raw)
        return raw

    def _check_is_named(self, raw: bytes) -> None:
        """What cannot be the name of an instance halts the one that asks for it, at that line."""
        if self.key is not None or self.title is not None:
            values = self.inputs.decode(raw)
            self.key_for(values)
            self.title_for(values)

    def __repr__(self) -> str:
        return f"<process {self.name}>"


@with_options
def process(
    *,
    owner: BusinessFunction,
    title: str | None = None,
    key: str | None = None,
    key_forever: bool = False,
    was: Iterable[str] = (),
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Process[P, R]]:
    """Declares a process: an `async def` that may be started as an instance.

    `owner` is the business function that answers for it. `title` and `key` are texts with places for the inputs, such
    as "{application.applicant}: {days} days". A key is unique among the open instances of the process, with
    `key_forever` among all that ever were. `was` lists former names.
    """

    def declare(body: Callable[P, Coroutine[Any, Any, R]]) -> Process[P, R]:
        declared = Declared(body, what="A process")
        return Process(declared, owner, title=title, key=key, key_forever=key_forever, was=was)

    return declare


@cache
def name_codec() -> ValueCodec[str]:
    """How the name of an instance that was started crosses."""
    return ValueCodec(str, where="the name of an instance")


def input_digest(secret: bytes, raw: bytes) -> bytes:
    """The digest of an input under the key of its instance: 16 bytes of HMAC-SHA-256."""
    return hmac.digest(secret, raw, "sha256")[:16]


def _equal_by_value(codec: ArgumentsCodec, recorded: bytes, made: bytes) -> bool:
    """Whether a recorded input, read with the present type, is what is asked for now: a new default moves nobody."""
    try:
        return codec.decode(recorded) == codec.decode(made)
    except InvalidValue:
        return False
