"""From a run and a policy to a verdict, which is used again while both stay equal."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from dataguard.errors import RunError
from dataguard.findings import Outcome
from dataguard.gate.policies import Policy, read_policy
from dataguard.gate.validate import validate
from dataguard.gate.verdict import Verdict, VerdictLine
from dataguard.gate.views import WHOLE, Asked, needed, view

if TYPE_CHECKING:
    from dataguard.run import Run

VERDICT = "verdict.json"


def gate(run: Run, policy: Path, *, reuse: bool = True) -> Verdict:
    """Judges a run by a policy and leaves `verdict.json` in it.

    Args:
        run: a scanned run.
        policy: a folder of suites (`policies.policy_path` finds one).
        reuse: take the verdict that stands in the run if tables, policy and version are equal. It is trusted
            as the run folder is; say no where somebody else could have written there.

    Raises:
        UsageError: the policy is not one.
        RunError: a table of the run is damaged, or changed meanwhile.
    """
    rules = read_policy(policy)
    names = needed({line.table for line in rules.lines})
    digests = _digests(run, names)
    tables = {name: run.table(name) if digest else None for name, digest in digests.items()}
    incomplete = _incomplete(run.info.get("complete"), tables)
    expected = Verdict(rules.name, rules.suites, digests, version("great_expectations"), incomplete, ())
    if reuse and (standing := _standing(run, rules, expected)) is not None:
        return standing
    verdict = replace(expected, lines=validate(rules.lines, _views(rules, tables)))
    if _digests(run, names) != digests:
        raise RunError(
            "expected the run to stand still, but its tables changed while they were judged", "gate again"
        )
    run.write(VERDICT, verdict.to_json())
    return verdict


def _standing(run: Run, policy: Policy, expected: Verdict) -> Verdict | None:
    """The verdict in the run, if it answers the same question and every line of the policy."""
    if not run.exists(VERDICT):
        return None
    try:
        found = Verdict.from_json(run.read(VERDICT))
    except ValueError:
        return None  # not ours, or of another format: it is judged again and replaced
    asked = tuple(VerdictLine.of(line, met=True, observed="") for line in policy.lines)
    answered = tuple(replace(line, met=True, observed="") for line in found.lines)
    return found if asked == answered and replace(found, lines=()) == expected else None


def _digests(run: Run, names: set[str]) -> dict[str, str | None]:
    """The sha256 of each table's file, None where the run lacks it."""
    files = {name: f"{name}.parquet" for name in sorted(names)}
    return {
        name: hashlib.sha256(run.read(file)).hexdigest() if run.exists(file) else None
        for name, file in files.items()
    }


def _views(policy: Policy, tables: Mapping[str, pl.DataFrame | None]) -> dict[str, pl.DataFrame | None]:
    wanted = [line.kwargs for line in policy.lines if line.table == "measures"]
    asked = Asked(
        names=frozenset(str(kwargs["name"]) for kwargs in wanted),
        about=frozenset(
            str(kwargs[key]) for kwargs in wanted for key in ("column", "group") if key in kwargs
        ),
    )
    return {table: view(table, tables, asked) for table in {line.table for line in policy.lines}}


def _incomplete(complete: object, tables: Mapping[str, pl.DataFrame | None]) -> tuple[str, ...]:
    """Why the run is not complete, in words without text of the data."""
    reasons = [] if complete is True else ["the scan did not complete"]
    reasons += [f"the run has no {name}.parquet" for name in sorted(tables) if tables[name] is None]
    files, outcomes = tables["files"], tables["outcomes"]
    if files is not None:
        unread = int((~files["status"].is_in(WHOLE)).fill_null(value=True).sum())
        if unread:
            reasons.append(f"{unread} of {len(files)} files were not fully read")
    if outcomes is not None:
        ended = [Outcome.CLEAR, Outcome.FLAGGED, Outcome.NOT_APPLICABLE]
        open_ended = int(
            (~outcomes["outcome"].is_in([str(outcome) for outcome in ended])).fill_null(value=True).sum()
        )
        if open_ended:
            reasons.append(f"{open_ended} of {len(outcomes)} rules did not end")
    return tuple(reasons)
