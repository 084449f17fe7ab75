"""Order instead of chance: randomness by branch, wrappers that fall through, originals that are refused."""

from __future__ import annotations

import asyncio
import random as standard_random
import subprocess
import sys
import threading
import uuid
from typing import Any

import pytest

from procession import kernel
from procession.kernel import Chance, InstanceState, RefusedInProcess
from procession.kernel.loop import _found_originals
from tests.kernel.drive import Driven, ask, op, run


def test_random_is_a_stream_of_its_own_for_every_branch() -> None:
    async def child() -> list[Any]:
        first = kernel.random().random()
        await op("a")
        return [first, kernel.random().randint(1, 1000), str(kernel.uuid4())]

    async def main() -> list[Any]:
        both = await asyncio.gather(child(), child())
        return [kernel.random().random(), *both]

    case = Driven(main)
    case.complete("a")
    case.complete("a")
    first = case.result
    assert first[1] != first[2]
    other = Driven(main)
    other.complete(2)
    other.complete(1)
    assert other.result == first  # whoever ends first
    again = kernel.Instance(case.program, seed=b"another")
    assert again.advance(kernel.InstanceStarted(1, b"[]")).halt is None
    again.close()


def test_random_in_a_callback_and_in_a_replay_is_the_same() -> None:
    async def main() -> list[str]:
        said: list[str] = []
        asyncio.get_running_loop().call_later(1, lambda: said.append(str(kernel.uuid4())))
        await op("a")
        return said

    results = []
    for _ in range(2):
        case = Driven(main)
        case.fire()
        case.complete("a")
        results.append(case.result)
    assert results[0] == results[1]
    assert uuid.UUID(results[0][0]).version == 4


def test_the_generator_gives_the_same_numbers_on_every_python_for_ever() -> None:
    """Golden: a history of today must replay in ten years."""
    chance = Chance(b"seed", "0")
    assert [chance.getrandbits(64) for _ in range(3)] == [
        18225599819085633478,
        1962433632308292382,
        12060801554018321179,
    ]
    assert [Chance(b"seed", path).random() for path in ("0", "0.1")] == [0.9880117459352029, 0.7934451998014603]
    assert str(Chance(b"seed", "0.1").uuid4()) == "910c3ac0-b338-4215-bc43-e0de13c35919"


def test_the_generator_is_split_mix_64() -> None:
    """The published sequence for the seed 1234567."""
    chance = Chance(b"", "")
    chance.setstate((1234567, None))
    assert [chance.getrandbits(64) for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_the_generator_is_a_random_in_every_method() -> None:
    chance = Chance(b"seed", "0")
    assert isinstance(chance, standard_random.Random)
    numbers = [chance.random() for _ in range(20_000)]
    assert 0.49 < sum(numbers) / len(numbers) < 0.51
    assert min(numbers) >= 0 and max(numbers) < 1
    dice = [chance.randrange(6) for _ in range(6_000)]
    assert all(900 < dice.count(n) < 1_100 for n in range(6))
    assert sorted(chance.sample(range(10), 10)) == list(range(10))
    assert len(chance.randbytes(5)) == 5
    assert chance.getrandbits(0) == 0
    assert chance.getrandbits(200).bit_length() > 150
    chance.gauss()
    chance.choices("abc", k=3)
    with pytest.raises(ValueError, match="non-negative"):
        chance.getrandbits(-1)


def test_the_generator_can_be_seeded_again_but_never_from_the_machine() -> None:
    chance = Chance(b"seed", "0")
    first = chance.random()
    chance.seed()
    assert chance.random() == first
    chance.seed("a text")
    second = chance.random()
    chance.seed("a text")
    assert chance.random() == second != first
    state = chance.getstate()
    third = chance.random()
    chance.setstate(state)
    assert chance.random() == third
    with pytest.raises(TypeError, match="a seed is"):
        chance.seed([])  # type: ignore[arg-type]


def test_identifiers_are_fresh_and_do_not_depend_on_numbers_drawn_between() -> None:
    one, two = Chance(b"seed", "0"), Chance(b"seed", "0")
    first = [one.uuid4() for _ in range(100)]
    second = []
    for _ in range(100):
        two.random()
        second.append(two.uuid4())
    assert first == second
    assert len(set(first)) == 100


def test_the_replacements_fall_through_outside_of_an_instance() -> None:
    async def main() -> list[Any]:
        async def later(n: int) -> int:
            await asyncio.sleep(0)
            return n

        got = [await each for each in asyncio.as_completed([later(1), later(2)])]
        gathered = asyncio.gather(later(3))
        assert len({gathered}) == 1
        return [sorted(got), await asyncio.wait_for(later(4), 5), await gathered]

    assert run(main) == [[1, 2], 4, [3]]


def test_as_completed_wants_an_iterable() -> None:
    async def main() -> str:
        future = asyncio.get_running_loop().create_future()
        try:
            asyncio.as_completed(future)
        except TypeError as error:
            return str(error)
        return "?"

    assert "iterable" in Driven(main).result


def original(name: str) -> Any:
    function = getattr(asyncio, name)
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def test_the_original_as_completed_is_refused_by_name() -> None:
    async def main() -> list[Any]:
        return [await each for each in original("as_completed")([ask("a"), ask("b")])]

    case = Driven(main)
    assert case.halt is not None and case.halt.code == "fence"
    assert "asyncio.as_completed" in case.halt.message and "import asyncio" in case.halt.message


@pytest.mark.parametrize("limit", [10, 0, None])
def test_the_original_wait_for_is_refused_where_it_takes_other_turns(limit: float | None) -> None:
    async def main() -> Any:
        return await original("wait_for")(ask("a"), limit)

    case = Driven(main)
    if sys.version_info < (3, 12) and limit is not None:
        assert case.halt is not None and "asyncio.wait_for" in case.halt.message
    elif limit != 0:
        case.complete("a", 1)
        assert case.result == 1


def test_the_originals_are_found_on_this_python() -> None:
    assert set(_found_originals().values()) == (
        {"as_completed"} if sys.version_info >= (3, 12) else {"as_completed", "wait_for"}
    )


REFUSED: list[tuple[str, Any]] = [
    ("run_in_executor", lambda loop: loop.run_in_executor(None, print)),
    ("add_reader", lambda loop: loop.add_reader(0, print)),
    ("add_writer", lambda loop: loop.add_writer(0, print)),
    ("sock_recv", lambda loop: loop.sock_recv(None, 1)),
    ("getaddrinfo", lambda loop: loop.getaddrinfo("localhost", 80)),
    ("create_connection", lambda loop: loop.create_connection(None)),
    ("subprocess_exec", lambda loop: loop.subprocess_exec(None)),
    ("call_soon_threadsafe", lambda loop: loop.call_soon_threadsafe(print)),
    ("run_until_complete", lambda loop: loop.run_until_complete(None)),
    ("stop", lambda loop: loop.stop()),
    ("close", lambda loop: loop.close()),
    ("set_task_factory", lambda loop: loop.set_task_factory(None)),
    ("set_debug", lambda loop: loop.set_debug(True)),
    ("run_in_executor", lambda loop: asyncio.to_thread(print)),
    ("subprocess_shell", lambda loop: asyncio.create_subprocess_shell("true")),
    ("create_connection", lambda loop: asyncio.open_connection("localhost", 80)),
]


@pytest.mark.parametrize(("name", "use"), REFUSED, ids=[str(n) + name for n, (name, _) in enumerate(REFUSED)])
def test_what_reaches_outside_is_refused_by_name_and_halts_even_if_swallowed(name: str, use: Any) -> None:
    async def main() -> None:
        try:
            got = use(asyncio.get_running_loop())
            if asyncio.iscoroutine(got):
                await got
        except BaseException as error:
            assert isinstance(error, RefusedInProcess), error
        await op("a")

    case = Driven(main)
    assert case.outcome.commands == ()
    assert case.halt is not None
    assert (case.halt.code, f"{name}()" in case.halt.message) == ("fence", True)


def test_a_thread_that_touches_the_loop_halts_the_instance_at_its_next_event() -> None:
    loops: list[Any] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        await op("a")

    case = Driven(main, replays=False)
    seen: list[BaseException] = []

    def touch() -> None:
        try:
            loops[0].call_soon_threadsafe(print)
        except BaseException as error:
            seen.append(error)

    thread = threading.Thread(target=touch)
    thread.start()
    thread.join()
    assert isinstance(seen[0], RefusedInProcess)
    case.complete("a")
    assert case.halt is not None and case.halt.code == "fence"
    assert case.instance.state is InstanceState.HALTED


PURE = """
import sys, types, importlib.util
class Blocked:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top != "procession" or name.startswith("procession.") and not (
            name.startswith("procession.kernel") or name == "procession.errors"
        ) or name in ("sqlite3", "_sqlite3"):
            raise ImportError(name + " is blocked")
        return None
sys.meta_path.insert(0, Blocked())
import procession.kernel
ours = sorted(name for name in sys.modules if name.startswith("procession"))
print(ours)
assert not [name for name in ours if not name.startswith("procession.kernel") and name not in ("procession", "procession.errors")]
"""


def test_the_kernel_imports_with_everything_but_the_standard_library_blocked() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", PURE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
