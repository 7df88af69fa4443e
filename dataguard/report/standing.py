"""How a run stands: the verdict as a person and a pipeline need it. What is absent or malformed never passes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dataguard.errors import RunError
from dataguard.report.words import limit_words, measure

if TYPE_CHECKING:
    from dataguard.run import Run

VERDICT = "verdict.json"
GRADES = ("critical", "warning", "info")
"""What a line of a policy weighs: a critical one decides, the others are reported."""


@dataclass(frozen=True)
class Line:
    """A line of the policy, judged. Whatever verdict.json lacks is empty, and not met."""

    table: str = ""
    task: str = ""
    grade: str = GRADES[0]
    expected: str = ""
    observed: str = ""
    reason: str = ""
    met: bool = False
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Line:
        """A line as it stands in verdict.json."""
        kwargs = plain.get("kwargs")
        return cls(
            table=str(plain.get("table", "")),
            task=str(plain.get("task", "")),
            grade=plain["severity"] if plain.get("severity") in GRADES else GRADES[0],
            expected=str(plain.get("expected", "")),
            observed=str(plain.get("observed", "")),
            reason=str(plain.get("reason") or plain.get("words") or ""),
            met=plain.get("met") is True,
            kwargs=kwargs if isinstance(kwargs, dict) else {},
        )

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """The least and the most that the line lets pass."""
        return number(self.kwargs.get("min_value")), number(self.kwargs.get("max_value"))

    @property
    def words(self) -> tuple[str, str, str]:
        """What was judged, what was observed, and what would pass; numbers of a measure in its unit."""
        name = self.kwargs.get("name")
        if self.table != "measures" or not isinstance(name, str):
            return self.table, self.observed, self.expected
        seen = number(self.observed)
        about = " ".join(str(self.kwargs[key]) for key in ("column", "group") if self.kwargs.get(key))
        return (
            f"{self.kwargs.get('rule')} {name.replace('_', ' ')}" + (f" ({about})" if about else ""),
            self.observed if seen is None else measure(name, seen),
            limit_words(name, *self.limits) or self.expected,
        )


@dataclass(frozen=True)
class Standing:
    """The verdict over a run.

    Args:
        state: ``passed``, ``failed``, ``incomplete`` or ``not-judged``; incomplete beats failed.
        complete: everything was read and every rule came to its end.
        judged: a policy was asked.
        passed: the policy let it pass.
        verdict: verdict.json, empty where there is none.
        canaries: synthetic attacks of our own stand in the data, which no policy lets pass.
    """

    state: str
    complete: bool
    judged: bool
    passed: bool
    verdict: Mapping[str, Any]
    canaries: bool = False

    @property
    def exit_code(self) -> int:
        """0 passed or only screened, 1 the policy does not pass it or it has canaries, 3 incomplete; 3 beats 1."""
        if not self.complete:
            return 3
        return 0 if (self.passed or not self.judged) and not self.canaries else 1

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every line of the policy, as far as verdict.json tells them."""
        return tuple(
            Line.of(line) for line in _dicts(self.verdict.get("lines") or self.verdict.get("reasons"))
        )

    @property
    def unmet(self) -> tuple[Line, ...]:
        """The lines that are not met, critical ones first."""
        return tuple(
            sorted((line for line in self.lines if not line.met), key=lambda line: GRADES.index(line.grade))
        )

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Why the run is not complete, in the gate's words."""
        found = self.verdict.get("incomplete")
        return tuple(str(one) for one in found) if isinstance(found, list) else ()

    @property
    def tasks(self) -> dict[str, str]:
        """How each NIST task that the policy names stands: ``passed``, ``failed`` or ``incomplete``."""
        found = self.verdict.get("tasks")
        if not isinstance(found, dict):
            return {}
        states = {True: "passed", "passed": "passed", "incomplete": "incomplete"}
        return {
            task: states.get(state, "failed") if isinstance(state, bool | str) else "failed"
            for task, state in sorted(found.items())
        }

    def limits(self, rule: str, name: str, column: str) -> list[tuple[str, float | None, float | None]]:
        """What the policy allows a measure of the whole set to be: grade, least, most; critical ones first."""
        found = []
        for line in self.lines:
            asked = (line.table, line.kwargs.get("rule"), line.kwargs.get("name"))
            of_all = not line.kwargs.get("group") and line.kwargs.get("column") in (None, column)
            if asked == ("measures", rule, name) and of_all:
                found.append((line.grade, *line.limits))
        return sorted(found, key=lambda limit: GRADES.index(limit[0]))


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def number(value: object) -> float | None:
    """A finite number, also one that stands as text; None for anything else."""
    try:
        found = (
            float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        )
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def standing(run: Run) -> Standing:
    """How a run stands.

    Raises:
        RunError: verdict.json is there, but is no JSON object.
    """
    verdict: Any = {}
    judged = run.exists(VERDICT)
    if judged:
        try:
            verdict = json.loads(run.read(VERDICT))
        except (ValueError, RecursionError) as error:
            raise RunError(f"{VERDICT} of {run.path} is no JSON", "`dataguard gate` judges again") from error
        if not isinstance(verdict, dict):
            raise RunError(f"expected an object in {VERDICT} of {run.path}", "`dataguard gate` judges again")
    complete = run.info.get("complete") is True and (not judged or verdict.get("complete") is True)
    canaries = run.info.get("canaries", 0) != 0
    passed = complete and judged and verdict.get("passed") is True and not canaries
    if not complete:
        state = "incomplete"
    elif not judged:
        state = "not-judged"
    else:
        state = "passed" if passed else "failed"
    return Standing(state, complete, judged, passed, verdict, canaries)
