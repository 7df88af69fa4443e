"""From the tables of a run to what the page shows. All text of the data is made safe on the way, here and nowhere else.

Text that came with the data is `Text`; a plain `str` in these classes is made of our own words and of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataguard.columns import CONTEXT
from dataguard.report import charts, charts_homogeneity, scatter
from dataguard.report.attacks import AttackRow, CanaryRow, attack_rows, canary_rows, counted, unmeasured
from dataguard.report.charts import Chart
from dataguard.report.excerpt import Text, line
from dataguard.report.found import Excerpts, Found, Texts, found
from dataguard.report.heat import Heat, associations
from dataguard.report.reading import Reading, facts, reading
from dataguard.report.rules import Coverage, RuleRow, catalogue, coverage, rule_rows
from dataguard.report.scatter import Scatter
from dataguard.report.standing import Line, Standing, standing
from dataguard.report.words import TASKS, count, moment, share, size

if TYPE_CHECKING:
    from dataguard.run import Run

HEADLINES = {
    "passed": "Passed",
    "failed": "Does not pass",
    "incomplete": "Incomplete",
    "not-judged": "Not judged",
}
REASONS = 12
"""Unmet lines of the policy shown above the fold."""


@dataclass(frozen=True)
class Reason:
    """A line of the policy that is not met: what was judged, why the policy asks, what is and what would pass."""

    task: Text
    grade: str
    judged: Text
    reason: Text
    observed: Text
    passes: Text


@dataclass(frozen=True)
class Task:
    """A NIST task: what it asks in short, how it stands, and how many lines of the policy serve it."""

    task: Text
    words: str
    state: str
    lines: str


@dataclass(frozen=True)
class Head:
    """The verdict, before anything else.

    Args:
        state: ``passed``, ``failed``, ``incomplete`` or ``not-judged``.
        headline: the same in words.
        says: the sentence below it.
        notes: what else decides whether the run can be relied on.
        reasons: the lines that are not met, critical ones first.
    """

    state: str
    headline: str
    says: str
    notes: tuple[Text, ...]
    reasons: tuple[Reason, ...]
    more: int
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Page:
    """Everything that the page shows, in its order."""

    name: Text
    version: Text
    purpose: Text
    when: Text
    head: Head
    tiles: tuple[tuple[str, str, str], ...]
    charts: tuple[Chart, ...]
    heats: tuple[Heat, ...]
    scatters: tuple[Scatter, ...]
    found: Found
    rules: tuple[RuleRow, ...]
    reading: Reading
    attacks: tuple[AttackRow, ...]
    attacks_say: str
    canaries: tuple[CanaryRow, ...]
    unmeasured: Text
    coverage: tuple[Coverage, ...]
    facts: tuple[tuple[str, Text], ...]
    stages: tuple[tuple[Text, str, str, str], ...]


def page(run: Run, excerpts: Excerpts) -> Page:
    """What the report of a run shows.

    Raises:
        RunError: a table of the run is absent or damaged.
    """
    info, stands, known = run.info, standing(run), catalogue()
    findings, flagged, files = run.table("findings"), run.table("flagged"), run.table("files")
    measures, sources, unknown = (run.table(name) for name in ("measures", "sources", "unknown_provenance"))
    attacks, canaries = run.table("coverage"), run.table("canaries")
    rules = rule_rows(run.table("outcomes"), measures, findings, known, stands)
    names = {str(row.code): (number, row.known.name) for number, row in enumerate(rules)}
    records = _counts(info)["rows"]
    found_charts = (
        charts.findings_by_rule(findings, {code: name for code, (_, name) in names.items()}),
        charts.provenance_coverage(sources, unknown, records),
        *charts.label_shares(measures),
        *charts.drifts(measures),
        *charts_homogeneity.source_shares(measures),
        *charts_homogeneity.homogeneity(measures, findings),
        *charts.value_shares(measures),
        charts.duplicates_by_file(flagged, findings, files),
    )
    dataset = info.get("dataset")
    named: Mapping[str, Any] = dataset if isinstance(dataset, dict) else {}
    shown = found(findings, flagged, Texts(excerpts, _context(info)), names)
    not_read = files.height - int(files["status"].is_in(["read", "other"]).sum())
    return Page(
        name=line(named.get("name") or "Unnamed data set", 120),
        version=line(named.get("version"), 60),
        purpose=line(named.get("purpose"), 60),
        when=line(moment(str(info.get("finished") or "")), 40),
        head=_head(stands, info, shown, not_read),
        tiles=_tiles(info, shown, files.height, not_read),
        charts=tuple(chart for chart in found_charts if chart is not None),
        heats=associations(measures),
        scatters=scatter.vectors(measures),
        found=shown,
        rules=rules,
        reading=reading(files, sources, unknown, info),
        attacks=attack_rows(attacks),
        attacks_say=counted(attacks),
        canaries=canary_rows(canaries),
        unmeasured=line(unmeasured(info, canaries), 300),
        coverage=coverage(rules, known),
        facts=facts(info, stands.verdict),
        stages=_stages(info),
    )


def _context(info: Mapping[str, Any]) -> frozenset[str]:
    """The columns that only say where a record stands."""
    roles = info.get("roles")
    named = roles if isinstance(roles, dict) else {}
    columns = [named.get(role) for role in CONTEXT]
    return frozenset(str(name) for names in columns if isinstance(names, list) for name in names)


def _counts(info: Mapping[str, Any]) -> dict[str, int]:
    found = info.get("counts")
    plain = found if isinstance(found, dict) else {}
    names = ("files", "rows", "bytes", "decoded_bytes", "records_flagged")
    return {name: plain[name] if isinstance(plain.get(name), int) else 0 for name in names}


def _head(stands: Standing, info: Mapping[str, Any], shown: Found, not_read: int) -> Head:
    unmet = stands.unmet
    critical = sum(1 for one in unmet if one.grade == "critical")
    asked = count(len(stands.lines), "line")
    if stands.state == "incomplete":
        says = "Not everything was read and judged: nothing is said of what was left out."
        if critical:
            says += f" Of the policy's {asked}, {critical} that decide {_are(critical)} not met."
    elif stands.state == "not-judged":
        says = "The data was screened, but no policy was asked whether it passes."
    elif stands.state == "failed":
        says = f"Of the policy's {asked}, {critical} that decide {_are(critical)} not met."
    else:
        says = f"Of the policy's {asked}, all that decide are met. {_not_proven(shown)}"
    return Head(
        state=stands.state,
        headline=HEADLINES[stands.state]
        + (", and does not pass" if critical and not stands.complete else ""),
        says=says,
        notes=tuple(line(note, 200) for note in _notes(stands, info, not_read)),
        reasons=tuple(_reason(one) for one in unmet[:REASONS]),
        more=max(0, len(unmet) - REASONS),
        tasks=tuple(
            Task(
                line(task, 20),
                TASKS.get(task, ""),
                state,
                count(sum(1 for one in stands.lines if one.task == task), "line"),
            )
            for task, state in stands.tasks.items()
        ),
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _not_proven(shown: Found) -> str:
    if shown.total:
        return f"{count(shown.total, 'finding')} within its limits {_are(shown.total)} listed below."
    return "No rule found anything; what the rules cannot see is said below."


def _notes(stands: Standing, info: Mapping[str, Any], not_read: int) -> list[str]:
    """What a reader must know before relying on the verdict."""
    notes = list(stands.incomplete)
    if not_read and not notes:
        notes.append(f"{count(not_read, 'file was', 'files were')} not read whole")
    if info.get("trust_stat") is True:
        notes.append(
            "unchanged files were trusted by size and time, not hashed again: this run cannot be attested"
        )
    return notes


def _reason(one: Line) -> Reason:
    judged, observed, passes = one.words
    return Reason(
        task=line(one.task, 20),
        grade=one.grade,
        judged=line(judged, 80),
        reason=line(one.reason, 300),
        observed=line(observed, 300),
        passes=line(passes, 300),
    )


def _tiles(
    info: Mapping[str, Any], shown: Found, files: int, not_read: int
) -> tuple[tuple[str, str, str], ...]:
    """The few numbers that a reader wants at once: what, number, and a word on it."""
    counts = _counts(info)
    high = dict(shown.by_severity)["high"]
    read = f"{not_read:,} not read whole" if not_read else "all read whole"
    return (
        ("Files", f"{files:,}", read),
        ("Records", f"{counts['rows']:,}", f"{size(counts['bytes'])} on disk"),
        ("Findings", f"{shown.total:,}", f"{high:,} of high severity" if shown.total else "nothing found"),
        (
            "Records flagged",
            f"{counts['records_flagged']:,}",
            f"{share(counts['records_flagged'], counts['rows'])} of all",
        ),
    )


def _stages(info: Mapping[str, Any]) -> tuple[tuple[Text, str, str, str], ...]:
    found = info.get("stages")
    plain = [stage for stage in found if isinstance(stage, dict)] if isinstance(found, list) else []
    return tuple(
        (
            line(stage.get("name"), 60),
            f"{_whole(stage.get('items')):,}",
            f"{_real(stage.get('seconds')):,.1f} s",
            size(_whole(stage.get("decoded_bytes"))),
        )
        for stage in plain[:40]
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _real(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
