"""The rules, one file each. A file in this folder that defines a detector is a rule: nothing is registered.

Discovery imports the modules of this package; their names sort in the order of the rules' codes only by
accident, so the catalogue sorts by code.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from dataguard.detectors.base import Detector, FollowingDetector, RecordDetector, SetDetector
from dataguard.errors import UsageError

__all__ = ["Detector", "RecordDetector", "SetDetector", "catalogue", "page", "select"]


@cache
def catalogue() -> tuple[type[Detector], ...]:
    """Every rule's class, by code."""
    found: dict[str, type[Detector]] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Detector) and "rule" in vars(kind) and kind.__module__ == module.__name__:
                if kind.rule.code in found:
                    raise ImportError(f"two rules have the code {kind.rule.code}")
                found[kind.rule.code] = kind
    return tuple(found[code] for code in sorted(found))


def select(
    wanted: tuple[str, ...] = (), options: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Detector, ...]:
    """Detectors by code or the beginning of a code (``DG2``), with their options, and those that these stand on.

    Raises:
        UsageError: a code nothing begins with, or an option a rule does not have.
    """
    classes = catalogue()
    for want in wanted:
        if not any(kind.rule.code.startswith(want) for kind in classes):
            codes = [kind.rule.code for kind in classes]
            near = nearest(want, codes)
            hint = f"did you mean {near}?" if near else f"the rules are {', '.join(codes)}"
            raise UsageError(f"expected the code of a rule or its beginning, got {want!r}", hint)
    chosen = _with_bases(
        [kind for kind in classes if not wanted or any(kind.rule.code.startswith(w) for w in wanted)]
    )
    options = options or {}
    for code in options:
        if code not in {kind.rule.code for kind in classes}:
            near = nearest(code, [kind.rule.code for kind in classes])
            hint = f"did you mean {near}?" if near else "see `dataguard rules`"
            raise UsageError(f"expected options of a rule, got {code!r}", hint)
    return tuple(_with_options(kind, options.get(kind.rule.code, {})) for kind in chosen)


def nearest(word: str, known: Sequence[str]) -> str:
    """The code or name that was most likely meant, or nothing: letters for digits first, then what looks alike."""
    digits = word.upper().translate(str.maketrans("OIL", "011"))
    return digits if digits in known else next(iter(get_close_matches(word, known, n=1)), "")


def _with_bases(chosen: list[type[Detector]]) -> list[type[Detector]]:
    """The rules and those that they cannot do without, by code."""
    codes: set[str] = set()
    waiting = list(chosen)
    while waiting:
        kind = waiting.pop()
        codes.add(kind.rule.code)
        bases = kind.stands_on if issubclass(kind, FollowingDetector) else ()
        waiting += [base for base in catalogue() if base.rule.code in bases and base.rule.code not in codes]
    return [kind for kind in catalogue() if kind.rule.code in codes]


def _with_options(kind: type[Detector], options: Mapping[str, Any]) -> Detector:
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    for name, value in options.items():
        if name not in fields:
            near = get_close_matches(name, list(fields), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its options are {', '.join(fields) or 'none'}"
            raise UsageError(f"{kind.rule.code}: expected one of its options, got {name!r}", hint)
        expected = type(getattr(kind(), name))
        fits = isinstance(value, (int, float) if expected is float else expected)
        if not fits or (isinstance(value, bool) and expected is not bool):
            raise UsageError(
                f"{kind.rule.code}: expected {name} to be {expected.__name__}, got {value!r}",
                "see `dataguard explain` for what the option means",
            )
    return kind(**options)


def page(kind: type[Detector]) -> str:
    """The rule's page: the docstring of its module."""
    return inspect.cleandoc(importlib.import_module(kind.__module__).__doc__ or "")
