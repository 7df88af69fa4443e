"""JSON from strangers is read strictly or refused with a reason, whatever its size and depth."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataguard import strict_json
from dataguard.errors import RefusedError

LIMIT = 1 << 20


def loads(data: bytes):
    return strict_json.loads(data, "the test", max_bytes=LIMIT)


BAD = [
    ("the last one wins here, the first one elsewhere", b'{"a":1,"a":2}', "stands twice"),
    ("duplicate keys by escape", b'{"a":1,"\\u0061":2}', "stands twice"),
    ("duplicate keys deep inside", b'[[{"x":{"a":1,"a":1}}]]', "stands twice"),
    ("not a JSON number", b"[NaN]", "NaN"),
    ("not a JSON number", b"[-Infinity]", "Infinity"),
    ("a float that overflows", b"[1e999]", "float"),
    ("a float of many digits", b"[0." + b"1" * 5000 + b"]", "float"),
    ("an integer of 5,000 digits takes quadratic time", b"[" + b"9" * 5000 + b"]", "19 digits"),
    ("an integer beyond 64 bits", b"[" + b"9" * 20 + b"]", "19 digits"),
    ("half of a surrogate pair", b'["\\ud800"]', "surrogate"),
    ("half of a surrogate pair as a key", b'{"\\udc00":1}', "surrogate"),
    ("not UTF-8", b'["\xff"]', "UTF-8"),
    ("a surrogate in CESU form", b'["\xed\xa0\x80"]', "UTF-8"),
    ("a byte order mark", b"\xef\xbb\xbf[]", "strict JSON"),
    ("another value behind", b"[] []", "strict JSON"),
    ("a trailing comma", b"[1,]", "strict JSON"),
    ("a comment", b"[1/**/]", "strict JSON"),
    ("a raw control character in a string", b'["\n"]', "strict JSON"),
    ("a NUL behind", b"[]\0", "strict JSON"),
    ("nothing", b"", "strict JSON"),
    ("200,000 levels of arrays", b"[" * 200_000 + b"]" * 200_000, "nests deeper"),
    ("200,000 levels never closed", b'{"a":' * 200_000, "nests deeper"),
    ("33 levels", b"[" * 33 + b"]" * 33, "nests deeper"),
    ("more than the size limit", b'"' + b"a" * LIMIT + b'"', "at most"),
]


@pytest.mark.parametrize(("why", "data", "says"), BAD, ids=[f"{i}-{case[0]}" for i, case in enumerate(BAD)])
def test_refused_quickly_and_with_a_reason(why, data, says):
    started = time.perf_counter()
    with pytest.raises(RefusedError, match=says):
        loads(data)
    assert time.perf_counter() - started < 1, why


def test_brackets_in_strings_are_no_depth():
    deep = '[{"' * 100
    for text in (deep, f'"{deep}', f"\\{deep}", f'\\"{deep}', f'\\\\"{deep}\\'):
        assert loads(json.dumps([text]).encode()) == [text]


def test_32_levels_are_taken():
    assert loads(b"[" * 32 + b"]" * 32)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.text()
    | st.floats(allow_nan=False, width=32).filter(lambda x: abs(x) < 1e30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_written_is_read_back(value):
    assert loads(strict_json.canonical(value)) == value
    assert loads(json.dumps(value, indent=1).encode()) == value


@given(values.map(lambda value: json.dumps(value, ensure_ascii=True).encode()), st.integers(0, 40))
def test_depth_is_counted_as_the_parser_counts_it(data, limit):
    def depth(value):
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    too_deep = depth(json.loads(data)) > limit
    if too_deep:
        with pytest.raises(RefusedError, match="nests deeper"):
            strict_json.loads(data, "x", max_bytes=LIMIT, max_depth=limit)
    else:
        strict_json.loads(data, "x", max_bytes=LIMIT, max_depth=limit)


def test_canonical_has_one_form():
    assert (
        strict_json.canonical({"b": [1, None, True], "a": "é/\u2028"})
        == '{"a":"é/\u2028","b":[1,null,true]}'.encode()
    )
    with pytest.raises(ValueError, match="JSON compliant"):
        strict_json.canonical(float("nan"))
