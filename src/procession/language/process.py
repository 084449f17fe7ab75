"""Processes: an `async def` that may be started as an instance, and what the kernel needs in order to run one."""

import hmac
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, Generic, cast

from procession import kernel
from procession.errors import InvalidValue, NotDeclarable, OutsideProcess
from procession.kernel import CallKind, CallRequested, HaltInstance, Program, RequestCall
from procession.language.codec import ArgumentsCodec
from procession.language.declarations import Declared, former_names
from procession.language.failures import ErrorCodec, failing
from procession.language.fields import label_of
from procession.language.names import normal_name
from procession.language.operations import BusinessFunction, Operation, P, R
from procession.language.options import with_options
from procession.language.signed import Signed
from procession.language.templates import Template, title_text


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
        self._declared: Mapping[type[Exception], ErrorCodec] = {}
        if self.key is not None and not self.key.names_something:
            raise declared.fault(f"key={key!r} is the same for every instance.", "Name an input: key={order.number}.")
        if key_forever and self.key is None:
            raise declared.fault("key_forever=True without a key.", "Give key=… too.")

    def check(self) -> None:
        """Resolves all types. Raises `NotDeclarable`, with file and line, for what cannot work."""
        _ = self.result
        for template in (self.title, self.key):
            if template is not None:
                template.check(self.inputs.parameters)

    def title_for(self, values: Mapping[str, Any]) -> str:
        """The title of an instance with these inputs."""
        return (title_text(self.title.fill(values)) if self.title else "") or self.label

    def key_for(self, values: Mapping[str, Any]) -> str | None:
        """The business key of an instance with these inputs, None if the process has none.

        Raises `InvalidValue` if the inputs give no name that can be a key.
        """
        return normal_name(self.key.fill(values), what="business key") if self.key else None

    def loaded_with(self, operations: Mapping[str, Operation[Any, Any]]) -> None:
        """Tells the process which operations the application has: to compare inputs by value, and to know declared errors."""
        self._operations = operations
        self._declared = {cls: codec for each in operations.values() for cls, codec in each.errors.codecs.items()}

    def program(self, secret: bytes) -> Program:
        """What the kernel runs. `secret` is the instance's key for the digests of inputs."""
        operations, declared = self._operations, self._declared

        def same_input(recorded: CallRequested, made: RequestCall) -> bool:
            if made.kind is CallKind.TIMER or recorded.digest == input_digest(secret, made.input):
                return True
            operation = operations.get(made.operation)
            return operation is not None and _equal_by_value(operation.inputs, recorded.input, made.input)

        encode_result = cast(Callable[[object], bytes], self.result.encode)  # it checks what it is given
        return Program(
            main=self._run,
            encode_result=encode_result,
            failure_of=partial(failing, declared=declared),
            same_input=same_input,
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
        """Awaiting a process is not starting one: raises `OutsideProcess`, or in a process that there are no children yet."""
        return kernel.to_be_awaited(self._await(), self.name)

    async def _await(self) -> R:
        if kernel.current() is not None:
            raise NotDeclarable(
                f"A process calls the process {self.name}: child instances are not available yet.",
                subject=self.name,
                remedy="Call a plain `async def` that both use: it becomes part of the instance.",
            )
        raise OutsideProcess(
            f"The process {self.name} was awaited where no instance runs.",
            subject=self.name,
            remedy=f"Start it with `procession start {self.name}`, or in a test with `world()`.",
        )

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


def input_digest(secret: bytes, raw: bytes) -> bytes:
    """The digest of an input under the key of its instance: 16 bytes of HMAC-SHA-256."""
    return hmac.digest(secret, raw, "sha256")[:16]


def _equal_by_value(codec: ArgumentsCodec, recorded: bytes, made: bytes) -> bool:
    """Whether a recorded input, read with the present type, is what is asked for now: a new default moves nobody."""
    try:
        return codec.decode(recorded) == codec.decode(made)
    except InvalidValue:
        return False
