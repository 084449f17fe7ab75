"""JSON from outside, read strictly: what two programs could understand differently is refused, with the place it stands.

Refused are NaN and infinities, a key that is twice in one object, half a surrogate pair, the NUL character, numbers of
absurd length, nesting that would exhaust a reader, and texts over the limit of a payload.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

DEPTH_LIMIT = 100
DIGITS_LIMIT = 100
PAYLOAD_LIMIT_BYTES = 1_000_000

_BRACKET_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK = re.compile(r"[ \t\n\r]*")
_CONSTANTS = {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity"}
_TEXTS = json.JSONDecoder()
_WORDS = {"null": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a JSON text, and the path of the field where it is ("" for the whole)."""

    path: str
    sentence: str


class _Faulty(ValueError):
    """Raised by the quick reading; the slow one then finds the place."""


def find_fault(raw: bytes) -> Fault | None:
    """The first thing in `raw` that strict JSON refuses, or None."""
    if len(raw) > PAYLOAD_LIMIT_BYTES:
        return Fault("", too_large(len(raw)))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return Fault("", f"is not UTF-8 text (byte {error.start})")
    try:
        _read_quickly(text)
    except (ValueError, RecursionError):
        return _Reader(text).first_fault() or Fault("", "is not JSON that can be read safely")
    return None


def too_large(size: int) -> str:
    """The sentence for a payload over the limit."""
    return f"takes {size:,} bytes; a value that crosses a hand-off takes at most {PAYLOAD_LIMIT_BYTES:,}"


def depth_of(text: str) -> int:
    """How deep the arrays and objects of a JSON text are nested."""
    depth = deepest = 0
    for token in _BRACKET_OR_STRING.finditer(text):
        opening = token[0]
        if opening in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif opening in "]}":
            depth -= 1
    return deepest


def text_fault(text: str) -> str | None:
    """The sentence for what no stored text may hold, or None."""
    if "\0" in text:
        return "holds a NUL character, which no text may"
    if _SURROGATE.search(text):
        return "holds half of a surrogate pair, which is no character"
    return None


def find_text_fault(value: object, path: str = "") -> Fault | None:
    """The first text in a JSON-like value that may not be stored, with its path."""
    if isinstance(value, str):
        sentence = text_fault(value)
        return Fault(path, sentence) if sentence else None
    if isinstance(value, dict):
        for key, member in value.items():
            if sentence := text_fault(str(key)):
                return Fault(path, f"has a key that {sentence}")
            if fault := find_text_fault(member, join(path, key)):
                return fault
    elif isinstance(value, list):
        for index, member in enumerate(value):
            if fault := find_text_fault(member, join(path, index)):
                return fault
    return None


def join(path: str, key: object) -> str:
    """The path of a member: "lines" and 0 give "lines.0"."""
    return f"{path}.{key}" if path else str(key)


def _read_quickly(text: str) -> None:
    if text.count("[") + text.count("{") > DEPTH_LIMIT and depth_of(text) > DEPTH_LIMIT:
        raise _Faulty
    json.loads(
        text, object_pairs_hook=_unique, parse_constant=_refused, parse_int=_short_integer, parse_float=_finite_float
    )
    if ("\\u" in text or "\0" in text) and find_text_fault(json.loads(text)):
        raise _Faulty


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Faulty
    return members


def _refused(constant: str) -> object:
    raise _Faulty(constant)


def _short_integer(digits: str) -> int:
    if len(digits) > DIGITS_LIMIT:
        raise _Faulty
    return int(digits)


def _finite_float(digits: str) -> float:
    number = float(digits)
    if len(digits) > DIGITS_LIMIT or math.isinf(number):
        raise _Faulty
    return number


class _Stop(Exception):
    """Carries a fault up to where the reading began."""

    def __init__(self, path: str, sentence: str) -> None:
        self.fault = Fault(path if len(path) <= 120 else f"{path[:120]}…", sentence)


class _Reader:
    """Reads a JSON text slowly, knowing at each moment the path of the field it reads."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def first_fault(self) -> Fault | None:
        try:
            self._value("", 0)
            self._skip_blanks()
            if self._at < len(self._text):
                self._stop("", "has something after its end")
        except _Stop as stop:
            return stop.fault
        return None

    def _stop(self, path: str, sentence: str) -> None:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - (self._text.rfind("\n", 0, self._at) + 1) + 1
        raise _Stop(path, f"{sentence} (line {line}, column {column})")

    def _skip_blanks(self) -> None:
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at

    def _peek(self) -> str:
        self._skip_blanks()
        return self._text[self._at : self._at + 1]

    def _value(self, path: str, depth: int) -> None:
        opening = self._peek()
        if opening in ("[", "{") and depth >= DEPTH_LIMIT:
            self._stop(path, f"is nested more than {DEPTH_LIMIT} deep")
        if opening == "{":
            self._members("}", lambda index, seen: self._pair(path, depth, seen), path)
        elif opening == "[":
            self._members("]", lambda index, seen: self._value(join(path, index), depth + 1), path)
        elif opening == '"':
            self._string(path)
        else:
            self._word_or_number(path)

    def _members(self, closing: str, read: Callable[[int, set[str]], None], path: str) -> None:
        self._at += 1
        seen: set[str] = set()
        if self._peek() == closing:
            self._at += 1
            return
        for index in range(len(self._text)):
            read(index, seen)
            mark = self._peek()
            if mark == closing:
                self._at += 1
                return
            if mark != ",":
                self._stop(path, f"is not JSON: a comma or {closing} is missing")
            self._at += 1

    def _pair(self, path: str, depth: int, seen: set[str]) -> None:
        if self._peek() != '"':
            self._stop(path, "is not JSON: the name of a member in double quotes is missing")
        key = self._string(path)
        if key in seen:
            self._stop(join(path, key), "is there twice in one object")
        seen.add(key)
        if self._peek() != ":":
            self._stop(join(path, key), "is not JSON: a colon is missing")
        self._at += 1
        self._value(join(path, key), depth + 1)

    def _string(self, path: str) -> str:
        text = ""
        try:
            text, end = _TEXTS.raw_decode(self._text, self._at)
        except ValueError as error:
            self._stop(path, f"is not JSON: {getattr(error, 'msg', error)}")
        else:
            if sentence := text_fault(text):
                self._stop(path, sentence)
            self._at = end
        return text

    def _word_or_number(self, path: str) -> None:
        for word in (*_WORDS, *_CONSTANTS):
            if self._text.startswith(word, self._at):
                if word in _CONSTANTS:
                    self._stop(path, f"is {word}, which is not a number that can be stored")
                self._at += len(word)
                return
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            self._stop(path, "is not JSON: a value is missing")
            return
        if len(number[0]) > DIGITS_LIMIT:
            self._stop(path, f"is a number of more than {DIGITS_LIMIT} digits")
        if (number[1] or number[2]) and math.isinf(float(number[0])):
            self._stop(path, "is a number too large to be stored")
        self._at = number.end()
