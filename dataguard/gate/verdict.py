"""What the gate says of a run, as a value and as canonical JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from dataguard.gate.policies import PolicyLine

FORMAT = "dataguard/verdict/1"
"""To be raised when lines are judged in another way: an older verdict is then not used again."""
CRITICAL = "critical"


@dataclass(frozen=True)
class VerdictLine:
    """One line of the policy, judged.

    Args:
        table: the table judged.
        expectation: its type.
        kwargs: its arguments, with the limits.
        severity: ``critical`` decides, ``warning`` and ``info`` are reported.
        task: the task of NIST SP 800-218A.
        reason: why the policy has this line.
        expected: what was expected, in words.
        observed: what was found, in words; no text of the data.
        met: whether it was as expected.
    """

    table: str
    expectation: str
    kwargs: Mapping[str, Any]
    severity: str
    task: str
    reason: str
    expected: str
    observed: str
    met: bool

    @classmethod
    def of(cls, line: PolicyLine, *, met: bool, observed: str) -> VerdictLine:
        """The line of a policy with what was observed."""
        return cls(
            line.table,
            line.type,
            line.kwargs,
            line.severity,
            line.task,
            line.reason,
            line.expected,
            observed,
            met,
        )

    @property
    def words(self) -> str:
        """The line in one sentence."""
        return (
            f"{self.table}: expected {self.expected}; observed {self.observed} ({self.task}: {self.reason})"
        )


@dataclass(frozen=True)
class Verdict:
    """What the gate says. All but the fields follows from them.

    Args:
        policy: the name of the policy.
        suites: sha256 of each of its files.
        tables: sha256 of each table judged, None for one that the run lacks.
        great_expectations: the version that judged.
        incomplete: why the run is not complete; empty if it is.
        lines: every line of the policy, in its order.
    """

    policy: str
    suites: Mapping[str, str]
    tables: Mapping[str, str | None]
    great_expectations: str
    incomplete: tuple[str, ...]
    lines: tuple[VerdictLine, ...]

    @property
    def complete(self) -> bool:
        """Whether everything was read and every rule ended."""
        return not self.incomplete

    @property
    def passed(self) -> bool:
        """Whether the run is complete and every critical line is met."""
        return self.complete and all(line.met for line in self.lines if line.severity == CRITICAL)

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 3 incomplete, whatever else failed."""
        if not self.complete:
            return 3
        return 0 if self.passed else 1

    @property
    def reasons(self) -> tuple[VerdictLine, ...]:
        """The lines that are not met, critical ones first."""
        unmet = [line for line in self.lines if not line.met]
        return tuple(sorted(unmet, key=lambda line: line.severity != CRITICAL))

    @property
    def tasks(self) -> dict[str, str]:
        """Each NIST task: failed by a critical line, else incomplete with the run, else passed."""
        failed = {line.task for line in self.lines if line.severity == CRITICAL and not line.met}
        otherwise = "passed" if self.complete else "incomplete"
        return {
            task: "failed" if task in failed else otherwise
            for task in sorted({line.task for line in self.lines})
        }

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, no white space, ASCII, no times. Equal verdicts are equal bytes."""
        plain = {
            "format": FORMAT,
            "policy": self.policy,
            "suites": dict(self.suites),
            "tables": dict(self.tables),
            "great_expectations": self.great_expectations,
            "passed": self.passed,
            "complete": self.complete,
            "exit_code": self.exit_code,
            "incomplete": list(self.incomplete),
            "reasons": [asdict(line) for line in self.reasons],
            "lines": [asdict(line) for line in self.lines],
            "tasks": self.tasks,
        }
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")

    @classmethod
    def from_json(cls, data: bytes) -> Verdict:
        """Reads a verdict back.

        Raises:
            ValueError: it is not what `to_json` writes, byte for byte; what follows from the lines included.
        """
        try:
            plain = json.loads(data, parse_constant=_no_constant)
            verdict = cls(
                policy=plain["policy"],
                suites=plain["suites"],
                tables=plain["tables"],
                great_expectations=plain["great_expectations"],
                incomplete=tuple(plain["incomplete"]),
                lines=tuple(VerdictLine(**line) for line in plain["lines"]),
            )
            same = verdict.to_json() == data
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"expected a verdict, got something else ({type(error).__name__})") from error
        if not same:
            raise ValueError(
                "expected a verdict as dataguard writes it, got one that was edited or is of another format"
            )
        return verdict


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"expected JSON, got {text}")
