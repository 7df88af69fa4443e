"""The expectations that may stand in a suite, and what their arguments must be.

Known here without importing Great Expectations, so that a mistake in a policy is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dataguard.findings import Outcome, Severity

MAX_TEXT = 500


@dataclass(frozen=True)
class Check:
    """What a value must be, in words and as a test."""

    wants: str
    holds: Callable[[Any], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable()


def _is_word(value: object) -> bool:
    # Words in brackets stand for what a view hides (views.py); a policy that could name them would let it pass.
    return isinstance(value, str) and _is_text(value) and not value.startswith("(")


def _is_rule(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and len(value) == 5 and _is_prefix(value)


def _is_prefix(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.startswith("DG")
        and 3 <= len(value) <= 5
        and value.isascii()
        and value[2:].isdigit()
    )


def _is_task(value: object) -> bool:
    if not isinstance(value, str) or not value.isascii():
        return False
    parts = value.split(".")
    return (
        len(parts) == 3 and parts[0] in {"PO", "PS", "PW", "RV"} and all(part.isdigit() for part in parts[1:])
    )


def _set_of(wants: str, holds: Callable[[object], bool]) -> Check:
    def all_hold(value: object) -> bool:
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            return False
        return len(set(value)) == len(value) and all(holds(item) for item in value)

    return Check(f"a list, not empty and without repetition, of {wants}", all_hold)


def _one_of(kind: type[Outcome] | type[Severity]) -> Check:
    names = [member.value for member in kind]
    return _set_of(", ".join(names), lambda value: value in names)


TEXT = Check(f"text of up to {MAX_TEXT} printable characters", _is_text)
TASK = Check("a task of NIST SP 800-218A, like PW.3.1", _is_task)
COUNT = Check("a whole number from 0", lambda value: type(value) is int and value >= 0)
NUMBER = Check("a number", lambda value: type(value) in (int, float))
RULE = Check("the code of a rule, like DG101", _is_rule)
WORD = Check(f"up to {MAX_TEXT} printable characters that begin with no bracket", _is_word)
ABOUT = Check(f"empty or {WORD.wants}", lambda value: value == "" or _is_word(value))
NAME = Check("a name of letters, digits and _", lambda value: _is_text(value) and value.isidentifier())
EITHER = Check("fail or pass", lambda value: value in ("fail", "pass"))


@dataclass(frozen=True)
class Kind:
    """An expectation that may stand in a suite.

    Args:
        tables: the tables it judges.
        required: its arguments.
        optional: arguments that may be left out; of ``min_value`` and ``max_value`` one must stand.
        say: what is expected, in words.
    """

    tables: tuple[str, ...]
    say: Callable[[Mapping[str, Any]], str]
    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)


def _range(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"from {low} to {high}"


def _say_measure(kwargs: Mapping[str, Any]) -> str:
    given = {key: kwargs[key] for key in ("column", "group") if key in kwargs}
    about = "".join(f" of {key} {value!r}" if value else f" over all {key}s" for key, value in given.items())
    unless = ", or the rule not applicable" if kwargs.get("if_not_applicable") == "pass" else ""
    unless += ", or nothing there to measure" if kwargs.get("if_not_measured") == "pass" else ""
    return f"{kwargs['rule']} {kwargs['name']}{about} {_range(kwargs)}{unless}"


def _say_outcomes(kwargs: Mapping[str, Any]) -> str:
    return (
        f"{', '.join(kwargs['require'])} to have run and every rule to end {' or '.join(kwargs['outcomes'])}"
    )


def _say_findings(kwargs: Mapping[str, Any]) -> str:
    grades = " or ".join(kwargs.get("severities", ["any"]))
    rules = f" of {', '.join(kwargs['rules'])}" if "rules" in kwargs else ""
    return f"at most {kwargs['max_count']} findings of {grades} severity{rules}"


def _say_whole(kwargs: Mapping[str, Any]) -> str:
    unless = f" ({', '.join(kwargs['undeclared'])} declare none)" if "undeclared" in kwargs else ""
    return f"every file digested, and rows declared = decoded = digested in those read{unless}"


IN_SET = Kind(
    ("files", "outcomes", "sources"),
    lambda kwargs: f"every {kwargs['column']} to be {' or '.join(kwargs['value_set'])}",
    required={"column": TEXT, "value_set": _set_of("words", _is_word)},
)
KINDS: dict[str, Kind] = {
    "expect_table_row_count_to_be_between": Kind(
        ("files", "outcomes", "sources"),
        lambda kwargs: f"{_range(kwargs)} rows",
        optional={"min_value": COUNT, "max_value": COUNT},
    ),
    "expect_column_values_to_be_in_set": IN_SET,
    "expect_files_to_be_whole": Kind(
        ("files",), _say_whole, optional={"undeclared": _set_of("formats", _is_word)}
    ),
    "expect_outcomes_to_be_in": Kind(
        ("outcomes",),
        _say_outcomes,
        required={"outcomes": _one_of(Outcome), "require": _set_of("codes of rules", _is_rule)},
    ),
    "expect_findings_at_most": Kind(
        ("findings",),
        _say_findings,
        required={"max_count": COUNT},
        optional={
            "severities": _one_of(Severity),
            "rules": _set_of("codes of rules or their beginnings (DG2)", _is_prefix),
        },
    ),
    "expect_measure_to_be_between": Kind(
        ("measures",),
        _say_measure,
        required={"rule": RULE, "name": NAME},
        optional={
            "min_value": NUMBER,
            "max_value": NUMBER,
            "column": ABOUT,
            "group": ABOUT,
            "if_not_applicable": EITHER,
            "if_not_measured": EITHER,
        },
    ),
}
"""What may stand in a suite. The first two are Great Expectations' own, the rest ours (expectations.py)."""
