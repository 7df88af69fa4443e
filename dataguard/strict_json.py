"""JSON from strangers: read strictly, or refused with a reason.

The standard parser takes duplicate keys (the last one wins, while another tool takes the first), NaN, lone
surrogates and integers of any length, and recurses as deep as it is told to. Here each of these is refused,
size and depth before anything is parsed.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import numpy as np

from dataguard.errors import RefusedError

MAX_DEPTH = 32
MAX_DIGITS = 19  # enough for 64 bits
MAX_NUMBER = 64  # characters of a number with a point or an exponent

_STEPS = np.zeros(256, np.int8)
_STEPS[[ord("["), ord("{")]] = 1
_STEPS[[ord("]"), ord("}")]] = -1


def loads(data: bytes, what: str, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> object:
    """Parses one JSON value.

    Args:
        data: UTF-8, without a byte order mark.
        what: what it is, for the message, e.g. ``line 3 of the manifest``.
        max_bytes: more are refused unread.
        max_depth: how many objects and arrays may stand inside one another.

    Returns:
        dicts with unique keys, lists, strings that UTF-8 can write, ints of at most 19 digits, finite floats, bools
        and None.

    Raises:
        RefusedError: it is anything else.
    """
    if len(data) > max_bytes:
        raise RefusedError(f"{what}: expected at most {max_bytes} bytes, got {len(data)}")
    if _deeper_than(data, max_depth):
        raise RefusedError(f"{what}: expected JSON of at most {max_depth} levels, but it nests deeper")
    try:
        value = _DECODER.decode(data.decode())
        if b"\\u" in data:  # the only way to a lone surrogate in UTF-8 that decoded
            json.dumps(value, ensure_ascii=False).encode()
    except _BadJsonError as error:
        raise RefusedError(f"{what}: {error}") from error
    except UnicodeEncodeError as error:
        raise RefusedError(f"{what}: a string holds half of a surrogate pair") from error
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{what}: expected strict JSON in UTF-8: {_brief(error)}") from error
    return value


def canonical(value: object) -> bytes:
    """The one way dataguard writes a JSON value that is digested: keys sorted, no spaces, UTF-8.

    Raises:
        ValueError: a float that is not finite, or a string that UTF-8 cannot write.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


class _BadJsonError(ValueError):
    """What the hooks below raise, to tell it from the parser's own errors."""


def _deeper_than(data: bytes, limit: int) -> bool:
    """Whether brackets outside of strings nest deeper than the limit, without parsing."""
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    # A run of backslashes loses its pairs first, so what is left of it says whether a quote is escaped.
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(bare.split(b'"')[::2])
    steps = _STEPS[np.frombuffer(outside, np.uint8)]
    return bool(np.cumsum(steps, dtype=np.int64).max(initial=0) > limit)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _BadJsonError(f"the key {twice[:80]!r} stands twice")
    return found


def _int(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise _BadJsonError(f"expected integers of at most {MAX_DIGITS} digits, got one of {len(text)}")
    return int(text)


def _float(text: str) -> float:
    number = float(text) if len(text) <= MAX_NUMBER else float("inf")
    if number in (float("inf"), float("-inf")):
        raise _BadJsonError(f"expected numbers that a float can hold, got {text[:40]}")
    return number


def _constant(text: str) -> NoReturn:
    raise _BadJsonError(f"expected JSON numbers, got {text}")


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
)
