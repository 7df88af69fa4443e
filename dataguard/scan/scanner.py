"""One scan from files to tables. It reads data; everything after reads the run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dataguard import provenance
from dataguard.canaries.attacks import KINDS
from dataguard.canaries.light import Light, LightTest
from dataguard.canaries.measuring import unmeasured, with_recall
from dataguard.canaries.sample import Screened, whole_files
from dataguard.columns import check_declared
from dataguard.config import Config
from dataguard.coverage import FileSeen, Seen, Status, coverage
from dataguard.detectors import catalogue
from dataguard.detectors.base import EARLIER, Detector, RecordDetector, SetDetector, SetSeen
from dataguard.digests import CANON
from dataguard.engine import Failed, LocalEngine
from dataguard.engine.attempt import attempt
from dataguard.engine.shipped import ShippedEncoder
from dataguard.errors import DataguardError, UsageError
from dataguard.evidence import Evidence
from dataguard.findings import OUTCOMES, Judgement, Outcome
from dataguard.manifest import MANIFEST, Manifest, leaves_digest
from dataguard.records import READER, Incident, Inspection, Listing, Stamp, list_files
from dataguard.records.copies import Fetched
from dataguard.records.tables import Named, Table
from dataguard.run import INFO, Run
from dataguard.scan import table_folders, tables
from dataguard.scan.against import Earlier, Index, changes_since, indexes_of
from dataguard.scan.context import Context
from dataguard.scan.fetching import facts as store_facts
from dataguard.scan.lance_copies import LanceCopies
from dataguard.scan.partitions import partition_incidents
from dataguard.scan.passes import Passes
from dataguard.scan.plan import (
    File,
    cut,
    digest_files,
    inspect_files,
    with_inspection,
)
from dataguard.scan.progress import Progress, Silent, Timed
from dataguard.scan.quoting import quoted
from dataguard.scan.work import compile_kernels
from dataguard.secret import Secret
from dataguard.tools import versions
from dataguard.version import __version__

__all__ = ["Options", "Progress", "Silent", "scan"]


KERNELS = "dataguard.kernels.warm"
SWITCHED_OFF = "it was switched off"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a scan goes about it; none of these changes what is found.

    The self-test, too, changes no finding: only what the run says of attacks of which there was none.

    Args:
        workers: worker processes.
        batch_rows: the most rows of a batch.
        against: an earlier run to compare with.
        trust_stat: take a file as unchanged by its size, times and inode, without reading it.
        secret: the project's secret; loaded from its usual place if None.
        encoder: what makes vectors of texts, which then are looked at too; this alone changes what is found.
        self_test: plant a few attacks in a copy of a sample, in memory, and measure what is found of them.
        fetched: the store or Lance data set that the data is a copy of; it is asked once more when all was read.
        named: folders that the user said are tables, and of which version: this, too, changes what is read.
    """

    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    batch_rows: int = 65_536
    against: Run | None = None
    trust_stat: bool = False
    secret: Secret | None = None
    encoder: ShippedEncoder | None = None
    self_test: bool = False
    fetched: Fetched | LanceCopies | None = None
    named: tuple[tuple[Path, Named], ...] = ()


def scan(
    data: Sequence[Path],
    out: Path,
    detectors: Sequence[Detector],
    config: Config,
    *,
    options: Options,
    progress: Progress | None = None,
) -> Run:
    """Reads a data set, lets every rule observe and judge it, and writes the tables of the run.

    Args:
        data: files and folders.
        out: the run folder; an earlier run there keeps its evidence and moves its tables aside.
        detectors: the rules, with their options.
        config: roles, sources, limits.
        options: workers and the like.
        progress: told how far it is.

    Raises:
        UsageError: the call is wrong.
        RunError: another scan writes into the same run.
    """
    # Before the run's folder is made: what is refused because it lies in the data must not be left there.
    fetched = options.fetched
    listing = list_files(data, leave_out=out) if fetched is None else fetched.listing(leave_out=out)
    run = Run.create(out)
    with run.locked():
        return _Scan(run, config, tuple(detectors), options, progress or Silent()).run_over(data, listing)


class _Scan:
    """One scan, a method a step."""

    def __init__(
        self, run: Run, config: Config, detectors: tuple[Detector, ...], options: Options, progress: Progress
    ) -> None:
        self.run, self.config, self.options = run, config, options
        self.detectors = {detector.rule.code: self._encoding(detector) for detector in detectors}
        self.secret = options.secret or Secret.load()
        self.against = Earlier.of(options.against) if options.against else None
        self.started = datetime.now(UTC)
        self.records_flagged = 0
        self.folders: list[Table] = []
        limits = config.limits
        self.engine = LocalEngine(
            workers=options.workers,
            memory=limits.memory_bytes,
            seconds=limits.conclude_seconds,
            prepare=KERNELS if self._needs_kernels() else "",
        )
        self.progress = Timed(progress, lambda: self.engine.starting)

    def run_over(self, data: Sequence[Path], listing: Listing) -> Run:
        """All steps, in the order of the flow."""
        trusted = self._trusted() if self.options.trust_stat else {}
        evidence = Evidence(self.run.path / "evidence", self.secret)
        with self.progress.stage("checking evidence", 0):
            evidence.load()
        if self._needs_kernels():
            self._compile()
        if len(listing.entries) >= EARLIER:
            raise UsageError(
                f"expected fewer than {EARLIER} files, got {len(listing.entries)}", "scan them in parts"
            )
        limits = self.config.limits
        with self.engine as engine:
            if listing.entries and not evidence.digests():
                engine.launch()  # all is to be read: they load their libraries while files are hashed
            files = digest_files(listing, trusted, self.options.workers, self.progress)
            records = tuple(d for d in self.detectors.values() if isinstance(d, RecordDetector))
            indexes, lost = self._indexes(records)
            files = self._with_tables(files, listing.root, engine)
            found = inspect_files(files, listing.root, limits, evidence, engine, self.progress)
            files = [self._with_roles(file, found) for file in files]
            files = table_folders.held_against(files, self.folders, listing.root, limits, engine)
            self._check_roles(files)
            context = Context(
                root=listing.root,
                items=tuple(cut(files, limits)),
                detectors=records,
                limits=limits,
                max_rows=self.options.batch_rows,
                evidence=evidence,
                engine=engine,
                progress=self.progress,
                secret=self.secret,
                encoder=self.options.encoder,
            )
            for code, reason in lost.items():
                context.book.fail(code, (-1, 0), reason)
            passes = Passes(context, indexes)
            passes.run()
            judged = passes.judge()
            self._ask_store(files, context)
            self.run.archive()
            self._conclude(data, listing.root, files, passes, judged)
        return self.run

    def _indexes(self, detectors: Sequence[RecordDetector]) -> tuple[dict[str, Index], dict[str, str]]:
        """What an earlier run wrote down, checked while the workers load their libraries."""
        if self.against is None:
            return {}, {}
        with self.progress.stage("checking the earlier run", 0):
            return indexes_of(self.against, detectors, self.secret)

    def _with_tables(self, files: list[File], root: Path, engine: LocalEngine) -> list[File]:
        """The files, of which those in folders of tables are read only if they count there."""
        named = table_folders.by_folder(self.options.named, root)
        sizes = {file.name: file.stamp.size for file in files if file.stamp}
        self.folders = table_folders.tables_of(list(sizes), root, named, self.config.limits, engine, sizes)
        return table_folders.with_tables(files, self.folders)

    def _ask_store(self, files: Sequence[File], context: Context) -> None:
        """Notes the files whose objects are no longer what was fetched."""
        if self.options.fetched is not None:
            changed = self.options.fetched.changed(self.progress)
            for file in files:
                if file.name in changed:
                    error = changed[file.name]
                    context.book.elsewhere[file.number] = Incident(error.rule, error.problem)

    def _encoding(self, detector: Detector) -> Detector:
        given = self.options.encoder is not None and isinstance(detector, RecordDetector)
        return detector.with_encoder() if given and isinstance(detector, RecordDetector) else detector

    def _needs_kernels(self) -> bool:
        return any(d.kernels for d in self.detectors.values() if isinstance(d, RecordDetector))

    def _compile(self) -> None:
        """Compiles the kernels where this machine has not yet: it takes seconds, so the user is told.

        Raises:
            DataguardError: they cannot be compiled, or what comes of it not be kept.
        """
        from dataguard.kernels import warm

        if warm.is_compiled():
            return
        memory, seconds = self.config.limits.memory_bytes, self.config.limits.conclude_seconds
        with (
            self.progress.stage("compiling kernels, once on this machine", 1) as advance,
            LocalEngine(workers=1, memory=memory, seconds=seconds) as engine,
        ):
            for result in engine.map(compile_kernels, [0]):
                if isinstance(result.value, Failed):
                    raise DataguardError(f"the kernels could not be compiled: {result.value.reason}")
                advance(1, 0)

    def _trusted(self) -> dict[str, tuple[Stamp, str]]:
        """Stamps and digests of the scan before."""
        if not self.run.exists(INFO):
            raise UsageError("--trust-stat expects an earlier run in --out to trust", "scan once without it")
        stamps = self.run.info.get("stamps")
        try:
            return {name: (Stamp(*stamp), sha256) for name, (*stamp, sha256) in (stamps or {}).items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise UsageError(
                f"the stamps in {self.run.path / INFO} are not those of this version",
                "scan without --trust-stat",
            ) from error

    def _with_roles(self, file: File, found: Mapping[int, Inspection]) -> File:
        return with_inspection(
            file, found.get(file.number), self.config.roles, only_add=self.config.roles_only_add
        )

    def _check_roles(self, files: Sequence[File]) -> None:
        schemas = [file.inspection.schema for file in files if file.inspection.schema is not None]
        if schemas and not self.config.roles_only_add:
            check_declared(self.config.roles, {name for schema in schemas for name in schema.names})

    def _conclude(
        self,
        data: Sequence[Path],
        root: Path,
        files: list[File],
        passes: Passes,
        judged: dict[str, Judgement],
    ) -> None:
        table, incidents = tables.files_and_incidents(files, passes.context)
        with self.progress.stage("assessing provenance", 0):
            origin = passes.provenance(table, self.config.sources)
        with self.progress.stage("writing the manifest", 0):
            lines, leaves = tables.manifest_files(files, passes.context, self.run, self._source_of(table))
            manifest = Manifest.of(lines, leaves_sha256=leaves_digest(leaves))
        marked = tables.canaries(passes.context)
        planted = _planted(passes.context.evidence, incidents)
        others = table_folders.table_incidents(files, self.folders)
        incidents = pl.concat(
            [incidents, planted, marked, partition_incidents(files, passes.context), others]
        )
        changes = None
        roles = _roles(files)
        if self.against is not None:
            changes = changes_since(self.against, manifest, self.run.path / "leaves", roles)
        seen = SetSeen(table, incidents, origin.sources, origin.unknown, changes, tables.schemas(files))
        for code, detector in self.detectors.items():
            if isinstance(detector, SetDetector):
                conclusion = attempt(detector.judge, seen)
                if isinstance(conclusion, Failed):
                    passes.context.book.errors[code] = conclusion.reason
                else:
                    judged[code] = conclusion
        names = [file.name for file in files]
        findings, flagged = tables.findings_and_flagged(judged, self.detectors, names, passes.context)
        findings = quoted(findings, flagged, self.detectors, passes.context)
        self.records_flagged = flagged.filter(pl.col("row").is_not_null()).select("file", "row").n_unique()
        outcomes = self._outcomes(files, passes, judged, table)
        covered = self._coverage(files, passes, table, outcomes)
        screened = Screened(
            root,
            whole_files(manifest, table),
            self.run.path / "leaves",
            roles["roles"],
            flagged,
            self.config.limits,
            {file.name: (file.stamp, file.inspection) for file in files if file.stamp},
        )
        light = self._self_test(screened, passes.context)
        for name, frame in {
            "files": table,
            "findings": findings,
            "flagged": flagged,
            "clusters": tables.clusters(judged, names, passes.earlier_names()),
            "measures": tables.measures(judged),
            "outcomes": outcomes,
            "sources": origin.sources,
            "unknown_provenance": origin.unknown,
            "coverage": _measured(covered, light),
            "canaries": light.table,
        }.items():
            self.run.write_table(name, frame)
        self.run.write(MANIFEST, manifest.to_bytes())
        facts = {**roles, "canaries": marked.height, "self_test": light.to_json()}
        facts |= table_folders.facts(self.folders)
        if self.options.encoder is not None:
            facts["encoder"] = {"name": self.options.encoder.name, "sha256": self.options.encoder.sha256}
        if self.options.fetched is not None:
            given = self.options.fetched
            facts |= store_facts(given) if isinstance(given, Fetched) else given.facts()
        self._write_info(data, root, files, passes, manifest, facts, outcomes)

    def _source_of(self, table: pl.DataFrame) -> dict[str, str]:
        """The declared source of each file, by pattern; the first that matches."""
        found: dict[str, str] = {}
        for source in self.config.sources:
            if source.pattern:
                for name in table["file"].filter(provenance.matches(source.pattern, table["file"])):
                    found.setdefault(name, source.name)
        return found

    def _coverage(
        self, files: Sequence[File], passes: Passes, table: pl.DataFrame, outcomes: pl.DataFrame
    ) -> pl.DataFrame:
        """Which kinds of attack this scan could have seen."""
        decoded = dict(zip(table["file"], table["rows_decoded"], strict=True))
        seen = [FileSeen(file.roles, decoded[file.name]) for file in files if file.readable]
        codes = frozenset(kind.rule.code for kind in catalogue())
        return coverage(Seen(seen, outcomes, codes, passes.unspaced()))

    def _self_test(self, screened: Screened, context: Context) -> Light:
        """What the rules that came to their end find of a few planted attacks."""
        if not self.options.self_test:
            return Light(reason=SWITCHED_OFF)
        rules = tuple(one for one in context.detectors if one.rule.code not in context.book.errors)
        with self.progress.stage("self-test", 0) as advance:
            return LightTest(screened, rules, context.engine, context.evidence, self.secret).run(advance)

    def _outcomes(
        self, files: Sequence[File], passes: Passes, judged: Mapping[str, Judgement], table: pl.DataFrame
    ) -> pl.DataFrame:
        unread = table.filter(pl.col("status").is_in(["refused", "partial"])).height
        decoded = dict(zip(table["file"], table["rows_decoded"], strict=True))
        rows = []
        for code, detector in sorted(self.detectors.items()):
            needs = ", ".join(detector.needs)
            fits = [file for file in files if file.readable and file.roles.has(detector.needs)]
            missing = (
                f"no file has columns with the role {needs}" if needs and not fits else "there are no records"
            )
            blind = unread if isinstance(detector, RecordDetector) else 0
            outcome, reason = tables.outcome(
                judged.get(code), passes.context.book.errors.get(code), missing, blind
            )
            seen = sum(decoded[file.name] for file in fits)
            rows.append(
                {
                    "rule": code,
                    "outcome": outcome.value,
                    "reason": reason,
                    "rows_seen": 0 if outcome is Outcome.NOT_APPLICABLE or code not in judged else seen,
                    "version": detector.rule.version,
                    "options": detector.options_json(),
                }
            )
        return pl.DataFrame(rows, schema=OUTCOMES)

    def _write_info(
        self,
        data: Sequence[Path],
        root: Path,
        files: Sequence[File],
        passes: Passes,
        manifest: Manifest,
        roles: Mapping[str, Any],
        outcomes: pl.DataFrame,
    ) -> None:
        import json

        statuses = self.run.table("files")
        bad = (
            statuses["status"].is_in(["refused", "partial"]).any()
            or outcomes["outcome"].is_in(["error", "incomplete"]).any()
        )
        decoded = sum(
            max((r["decoded"] for r in passes.context.roots(i)), default=0)
            for i in passes.context.items
            if passes.context.book.stands(i)
        )
        info = {
            "dataguard": __version__,
            "started": self.started.isoformat(),
            "finished": datetime.now(UTC).isoformat(),
            "host": platform.node(),
            "dataset": asdict(self.config.dataset),
            "data": [str(path.resolve()) for path in data],
            "root": str(root),
            **roles,
            "complete": not bad,
            "trust_stat": self.options.trust_stat,
            "counts": {
                "files": statuses.height,
                "rows": int(statuses["rows_decoded"].sum()),
                "bytes": int(statuses["size"].sum()),
                "decoded_bytes": decoded,
                "records_flagged": self.records_flagged,
            },
            "stages": self.progress.stages(),
            "worker_seconds": {
                kind: round(took, 3) for kind, took in sorted(passes.context.book.seconds.items())
            },
            "workers": self.options.workers,
            "batch_rows": self.options.batch_rows,
            "secret_key_id": self.secret.key_id,
            "tools": versions(),
            "manifest_sha256": manifest.sha256(),
            "screened_root": manifest.root,
            "index": passes.index(),
            "reader": READER,
            "canon": CANON,
            "rules": sorted(self.detectors),
            "against": str(self.options.against.path) if self.options.against else None,
            "config": [asdict(one) for one in self.config.read_from],
            "limits": asdict(self.config.limits),
            "stamps": {f.name: [*asdict(f.stamp).values(), f.sha256] for f in files if f.stamp},
            "evidence": passes.context.evidence.digests(),
        }
        self.run.write(INFO, json.dumps(info, indent=1, sort_keys=True).encode() + b"\n")


def _measured(covered: pl.DataFrame, light: Light) -> pl.DataFrame:
    """The table `coverage` with what was measured, or with the reason why it was not."""
    if not light.table.is_empty():
        return with_recall(covered, light.table, Status.PARTLY)
    if light.failed:
        return unmeasured(covered, [kind.attack for kind in KINDS], light.reason)
    return covered


def _planted(evidence: Evidence, like: pl.DataFrame) -> pl.DataFrame:
    rows = [{"rule": "DG508", "file": "", "row": None, "reason": reason} for reason in evidence.distrusted]
    return pl.DataFrame(rows, schema=like.schema)


def _roles(files: Sequence[File]) -> dict[str, Any]:
    """The roles of all files together, as they stand in run.json."""
    by_role: dict[str, set[str]] = {}
    inferred: set[str] = set()
    for file in files:
        inferred |= set(file.roles.inferred)
        for role, names in file.roles.to_json().items():
            by_role.setdefault(role, set()).update(names)
    return {"roles": {role: sorted(by_role[role]) for role in sorted(by_role)}, "inferred": sorted(inferred)}
