"""JSON from outside that two programs could read differently is refused, with the path of the field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.language.strict_json import DEPTH_LIMIT, depth_of, find_fault


@pytest.mark.parametrize(
    ("raw", "path", "sentence"),
    [
        (b'{"a":[1,{"b":NaN}]}', "a.1.b", "is NaN"),
        (b"[-Infinity]", "0", "is -Infinity"),
        (b'{"x":1e999}', "x", "too large"),
        (b'{"a":{"b":1,"b":2}}', "a.b", "twice"),
        (b'{"a":["\\ud800"]}', "a.0", "surrogate"),
        (b'{"a":["\\udc00x"]}', "a.0", "surrogate"),
        (b'{"\\ud800":1}', "", "surrogate"),
        (b'{"a":"x\\u0000y"}', "a", "NUL"),
        (b'{"a\\u0000":1}', "", "NUL"),
        (b'{"n":' + b"1" * 5000 + b"}", "n", "100 digits"),
        (b'{"n":0.' + b"1" * 5000 + b"}", "n", "100 digits"),
        (b"[" * 100_000, "0." * 59 + "0.…", "nested more than 100 deep"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "a." * 59 + "a.…", "nested more than 100 deep"),
        (b'{"a" 1}', "a", "colon"),
        (b"[1,]", "1", "a value is missing"),
        (b"[1 2]", "", "a comma or ]"),
        (b'{1:"a"}', "", "double quotes"),
        (b'{"a":1} {"a":1}', "", "after its end"),
        (b'"a\nb"', "", "control character"),
        (b'"abc', "", "Unterminated"),
        (b"01", "", "after its end"),
        (b"nul", "", "a value is missing"),
        (b"", "", "a value is missing"),
        (b"\xff\xfe", "", "UTF-8"),
        (b'"\xed\xa0\x80"', "", "UTF-8"),
        (b"\xef\xbb\xbf1", "", "a value is missing"),
        (b'"' + b"x" * 1_000_000 + b'"', "", "1,000,002 bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_fault_is_told_with_its_place(raw: bytes, path: str, sentence: str) -> None:
    fault = find_fault(raw)
    assert fault is not None
    assert sentence in fault.sentence
    assert fault.path == path


@pytest.mark.parametrize(
    "raw",
    [
        b'"\\\\u0000"',
        b'"\\ud83d\\ude00"',
        b'{"a":[1,2,{"c":null}]}',
        b" -5 ",
        b"1.5e-3",
        b'{"a":{"b":1},"c":{"b":1}}',
        b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT,
        b'"[[[[[[[[[["',
        ("[" + "[]," * 5000 + "[]]").encode(),
        b'{"type":"x","\\u00e9":"\xc3\xa9"}',
    ],
)
def test_what_is_strict_passes(raw: bytes) -> None:
    assert find_fault(raw) is None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_any_json_without_a_nul_or_a_lone_surrogate_passes(value: object) -> None:
    raw = json.dumps(value)
    has_nul = "\\u0000" in raw.replace("\\\\", "")
    fault = find_fault(raw.encode())
    assert (fault is None) is not has_nul or fault is None


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_fail(raw: bytes) -> None:
    fault = find_fault(raw)
    if fault is None:
        json.loads(raw)


@given(st.text(alphabet='[]{}",:\\u0d8 1eNa', max_size=60))
def test_what_the_reader_accepts_is_json(text: str) -> None:
    if find_fault(text.encode()) is None:
        json.loads(text)


def test_depth_counts_brackets_outside_texts_only() -> None:
    assert depth_of('{"a":["[[[[", "\\"[", []]}') == 3
    assert depth_of("1") == 0
