"""Lets Great Expectations judge views of a run: in memory, silently, and without a word to the network.

What makes a line fail here rather than pass: no view, no result for it (Great Expectations drops expectations
that it cannot build and merges equal ones), more than one result, any exception behind the result, or a success
that is not exactly True.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dataguard.gate.policies import PolicyLine
from dataguard.gate.verdict import VerdictLine

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext

NUMBER = "line"
ANALYTICS = "GX_ANALYTICS_ENABLED"
MAX_MESSAGE = 200
NO_TABLE = "the run lacks the table"


def validate(
    lines: Sequence[PolicyLine], views: Mapping[str, pl.DataFrame | None]
) -> tuple[VerdictLine, ...]:
    """Every line of a policy, judged.

    Args:
        lines: the policy.
        views: what Great Expectations may see, by table; None where the run lacks it.
    """
    judged: dict[int, VerdictLine] = {}
    with _context() as context:
        for table in dict.fromkeys(line.table for line in lines):
            numbered = {number: line for number, line in enumerate(lines) if line.table == table}
            frame = views[table]
            results = {} if frame is None else _suite(context, table, numbered, frame)
            for number, line in numbered.items():
                met, observed = (False, NO_TABLE) if frame is None else _read(results.get(number, []))
                judged[number] = VerdictLine.of(line, met=met, observed=observed)
    return tuple(judged[number] for number in range(len(lines)))


def load() -> None:
    """Imports Great Expectations and makes our expectations known to it."""
    with warnings.catch_warnings():
        # What Great Expectations 1.24 itself imports; nothing that its users could change.
        warnings.filterwarnings("ignore", r"module 'sre_(constants|parse)' is deprecated", DeprecationWarning)
        import dataguard.gate.expectations  # noqa: F401


@contextmanager
def _context() -> Iterator[EphemeralDataContext]:
    """A context of Great Expectations that lives in memory and leaves the caller's own one current."""
    with _analytics_off():
        load()
        import great_expectations as gx
        from great_expectations.data_context.data_context.context_factory import project_manager
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )
        from great_expectations.exceptions.exceptions import DataContextRequiredError

        try:
            current = project_manager.get_current_project()
        except DataContextRequiredError:
            current = None
        try:
            yield gx.get_context(
                mode="ephemeral",
                project_config=DataContextConfig(
                    # The default would make a folder for HTML pages, which write cells raw.
                    store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
                    analytics_enabled=False,
                    progress_bars=ProgressBarsConfig(globally=False),
                ),
            )
        finally:
            project_manager.set_project(current)


@contextmanager
def _analytics_off() -> Iterator[None]:
    """Releases that know usage statistics read this variable when they are imported."""
    before = os.environ.get(ANALYTICS)
    os.environ[ANALYTICS] = "false"
    try:
        yield
    finally:
        os.environ.pop(ANALYTICS)
        if before is not None:
            os.environ[ANALYTICS] = before


def _suite(
    context: EphemeralDataContext, table: str, lines: Mapping[int, PolicyLine], frame: pl.DataFrame
) -> dict[int, list[Any]]:
    """The results of one suite by the number of the line; Great Expectations gives them in another order."""
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity

    suite = ExpectationSuite(
        name=table,
        expectations=[
            ExpectationConfiguration(
                type=line.type,
                kwargs=dict(line.kwargs),
                meta={NUMBER: number},
                severity=FailureSeverity(line.severity),
            )
            for number, line in lines.items()
        ],
    )
    asset = context.data_sources.add_pandas(table).add_dataframe_asset(table)
    batch = asset.add_batch_definition_whole_dataframe(table).get_batch({"dataframe": to_pandas(frame)})
    results: dict[int, list[Any]] = {}
    # By default only the first twenty values are counted, and the words would say less than there is.
    summary = {"result_format": "SUMMARY", "partial_unexpected_count": max(1, len(frame))}
    for result in batch.validate(suite, result_format=summary).results:
        config = result.expectation_config
        results.setdefault(config.meta[NUMBER] if config and config.meta else -1, []).append(result)
    return results


def to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """The view for pandas, with missing whole numbers as missing, not as floats."""
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    whole = {pa.uint64(): pd.UInt64Dtype(), pa.uint32(): pd.UInt32Dtype()}
    converted: pd.DataFrame = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).to_pandas(
        types_mapper=whole.get
    )
    return converted


def _read(results: list[Any]) -> tuple[bool, str]:
    """Whether the line is met, and what was observed."""
    if len(results) != 1:
        return False, f"{len(results)} answers of Great Expectations instead of one"
    raised = _raised(results[0].exception_info)
    if raised:
        return False, f"Great Expectations could not judge it: {raised}"
    return results[0].success is True, _observed(results[0].result)


def _raised(info: Any) -> str:
    """The message of an exception, which stands flat or a level deeper, by metric."""
    if not isinstance(info, dict):
        return "no account of exceptions"
    flat = [info] if "raised_exception" in info else list(info.values())
    for entry in flat:
        if not isinstance(entry, dict) or entry.get("raised_exception") is not False:
            message = (
                str(entry.get("exception_message")) if isinstance(entry, dict) else "an unknown exception"
            )
            return "".join(char if " " <= char <= "~" else "?" for char in message)[:MAX_MESSAGE]
    return ""


def _observed(result: Any) -> str:
    """What a result saw, in words."""
    if "observed_value" in result:
        return str(result["observed_value"])
    if "unexpected_count" in result:
        counts = sorted(
            (str(entry["value"]), int(entry["count"])) for entry in result["partial_unexpected_counts"]
        )
        what = ", ".join(f"{count} {value}" for value, count in counts)
        return (
            f"{result['unexpected_count']} of {result['element_count']} otherwise{': ' if what else ''}{what}"
        )
    return "nothing"
