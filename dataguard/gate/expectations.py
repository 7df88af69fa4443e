"""Our own Great Expectations classes. They fail closed: what is absent, null, NaN or unknown does not pass.

The only module that imports Great Expectations at its top; it is itself imported only when a run is judged.
Each class sees one view (views.py) as a pandas frame and answers with success and the observation in words.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from dataguard.findings import Outcome
from dataguard.gate.views import ABSENT, NO_FINDING

if TYPE_CHECKING:
    from great_expectations.execution_engine.execution_engine import ExecutionEngine

TABLE = "dataguard.table"
ENDED = frozenset({Outcome.CLEAR.value, Outcome.FLAGGED.value})
LOOKED = ENDED | {Outcome.NOT_APPLICABLE.value}


class RunTable(TableMetricProvider):
    """The whole view, as the metric that our expectations ask for."""

    metric_name = TABLE

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805 - Great Expectations makes it a class method
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        **_: Any,
    ) -> pd.DataFrame:
        frame, _domain, _access = execution_engine.get_compute_domain(
            domain_kwargs=metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return frame


class _FailsClosed(BatchExpectation):
    """An expectation about a whole view."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (TABLE,)

    @abstractmethod
    def judge(self, table: pd.DataFrame) -> tuple[bool, str]:
        """Whether the view is as expected, and what was observed."""

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        success, observed = self.judge(metrics[TABLE])
        return {"success": bool(success), "result": {"observed_value": observed}}


class ExpectFilesToBeWhole(_FailsClosed):
    """Every file is digested; in those read, rows declared = decoded = digested.

    Args:
        undeclared: formats that declare no number of rows.
    """

    undeclared: list[str] = []  # noqa: RUF012 - a pydantic field
    success_keys: ClassVar[tuple[str, ...]] = ("undeclared",)

    def judge(self, table: pd.DataFrame) -> tuple[bool, str]:
        """Files that are not whole, counted."""
        if table.empty:
            return False, "no files"
        silent = table["format"].isin(self.undeclared) & table["rows_declared"].isna()
        rows = table["rows_decoded"]
        # A comparison with a missing number is missing itself, and counts as unequal.
        agree = (rows == table["rows_digested"]).fillna(False) & (
            (rows == table["rows_declared"]).fillna(False) | silent
        )
        undigested = int((table["sha256"] == ABSENT).sum())
        unequal = int(((table["status"] == "read") & ~agree).sum())
        if undigested or unequal:
            return (
                False,
                f"{undigested} of {len(table)} files without a digest, {unequal} whose rows disagree",
            )
        return True, f"{len(table)} files, all whole"


class ExpectOutcomesToBeIn(_FailsClosed):
    """Every rule ended in one of the outcomes, once, and the required rules are among them.

    Args:
        outcomes: the outcomes that pass.
        require: codes of rules that must have run.
    """

    outcomes: list[str]
    require: list[str]
    success_keys: ClassVar[tuple[str, ...]] = ("outcomes", "require")

    def judge(self, table: pd.DataFrame) -> tuple[bool, str]:
        """The rules that are missing, or ended otherwise."""
        ended = [f"{rule} {outcome}" for rule, outcome in zip(table["rule"], table["outcome"], strict=True)]
        wrong = [
            words for words, fits in zip(ended, table["outcome"].isin(self.outcomes), strict=True) if not fits
        ]
        twice = sorted(set(table["rule"][table["rule"].duplicated()]))
        missing = sorted(set(self.require) - set(table["rule"]))
        problems = (
            sorted(wrong) + [f"{rule} twice" for rule in twice] + [f"{rule} did not run" for rule in missing]
        )
        if problems or table.empty:
            return False, ", ".join(problems) or "no rules"
        return True, f"{len(table)} rules ended as expected"


class ExpectFindingsAtMost(_FailsClosed):
    """There are at most so many findings, by rules that looked.

    Args:
        max_count: how many pass.
        severities: only findings of these; one whose severity is unknown counts always.
        rules: only findings of rules whose code begins so.
    """

    max_count: int
    severities: list[str] | None = None
    rules: list[str] | None = None
    success_keys: ClassVar[tuple[str, ...]] = ("max_count", "severities", "rules")

    def judge(self, table: pd.DataFrame) -> tuple[bool, str]:
        """The findings, counted."""
        rows, missing = table, []
        if self.rules is not None:
            missing = [code for code in self.rules if not table["rule"].str.startswith(code).any()]
            # A rule without a readable code may be any rule.
            rows = table[table["rule"].str.startswith((*self.rules, "("))]
        blind = rows[~rows["outcome"].isin(LOOKED)]
        problems = [f"{code} did not run" for code in missing]
        problems += sorted(
            {f"{rule} {end}" for rule, end in zip(blind["rule"], blind["outcome"], strict=True)}
        )
        if rows.empty:
            return False, ", ".join(problems) or "no rules"
        found = rows[rows["severity"] != NO_FINDING]
        if self.severities is not None:
            found = found[found["severity"].isin(self.severities) | found["severity"].str.startswith("(")]
        which = [f"{count} of {rule}" for rule, count in found["rule"].value_counts().sort_index().items()]
        words = (
            f"{len(found)} finding{'' if len(found) == 1 else 's'}{': ' if which else ''}{', '.join(which)}"
        )
        return len(found) <= self.max_count and not problems, "; ".join([words, *problems])


class ExpectMeasureToBeBetween(_FailsClosed):
    """Every value of a measure lies between the limits, which belong to the range.

    Args:
        rule: the rule that measured.
        name: the measure.
        min_value: the least that passes.
        max_value: the most that passes.
        column: only about this column; empty: only those about none; every one if left out.
        group: only about this group; empty: only those about none; every one if left out.
        if_not_applicable: whether it passes where the rule had nothing to judge.
        if_not_measured: whether it passes where the rule came to its end and has no measure of this name, as the data
            had nothing of that kind. Of a measure that is there, a column or group that is not there fails.
    """

    rule: str
    name: str
    min_value: float | None = None
    max_value: float | None = None
    column: str | None = None
    group: str | None = None
    if_not_applicable: Literal["fail", "pass"] = "fail"
    if_not_measured: Literal["fail", "pass"] = "fail"
    success_keys: ClassVar[tuple[str, ...]] = (
        "rule",
        "name",
        "min_value",
        "max_value",
        "column",
        "group",
        "if_not_applicable",
        "if_not_measured",
    )

    def judge(self, table: pd.DataFrame) -> tuple[bool, str]:
        """The values against the limits."""
        of_rule = table[table["rule"] == self.rule]
        ended = set(of_rule["outcome"])
        values = of_rule[of_rule["name"] == self.name]
        if not ended:
            return False, f"{self.rule} did not run"
        idle = ended == {Outcome.NOT_APPLICABLE.value}
        if idle and (values.empty or self.if_not_applicable == "fail"):
            return self.if_not_applicable == "pass", f"{self.rule} not applicable"
        # A rule with nothing to judge may tell how much that was: where this may be so, the value decides.
        if not (idle or ended <= ENDED):
            return False, f"{self.rule} {', '.join(sorted(ended))}"
        if values.empty and self.if_not_measured == "pass":
            return True, "nothing there to measure"
        for key, wanted in (("column", self.column), ("group", self.group)):
            if wanted is not None:
                values = values[values[key] == wanted]
        if values.empty:
            return False, "no such measure"
        return self._against_limits([float(value) for value in values["value"]])

    def _against_limits(self, numbers: list[float]) -> tuple[bool, str]:
        measured = [number for number in numbers if math.isfinite(number)]
        if len(measured) < len(numbers):
            return False, f"{len(numbers) - len(measured)} of {len(numbers)} values could not be measured"
        low = -math.inf if self.min_value is None else self.min_value
        high = math.inf if self.max_value is None else self.max_value
        outside = sum(not low <= number <= high for number in measured)
        if len(numbers) == 1:
            return outside == 0, f"{numbers[0]!r}"
        span = f"{min(numbers)!r} to {max(numbers)!r}"
        return outside == 0, f"{span}, {outside} of {len(numbers)} outside"
