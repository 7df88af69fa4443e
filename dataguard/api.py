"""One function per command: what a pipeline or a notebook calls, and all that the command line does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataguard.errors import UsageError
from dataguard.run import INFO, Run
from dataguard.safe_text import escape_name
from dataguard.secret import Secret

if TYPE_CHECKING:
    from datasketch import MinHash

    from dataguard.attest.canaries import CanaryVerification
    from dataguard.attest.verification import Verification
    from dataguard.canaries.self_test import SelfTest
    from dataguard.encoders import Encoder
    from dataguard.engine.shipped import ShippedEncoder
    from dataguard.gate.verdict import Verdict
    from dataguard.manifest import Change
    from dataguard.records.copies import Fetched
    from dataguard.scan.lance_copies import LanceCopies
    from dataguard.scan.progress import Progress
    from dataguard.scan.sketches import Candidate, Sketches

POLICY = "release"
VERDICT = "verdict.json"
REPORT = "report.html"
NGRAMS = "ngrams"
"""The encoder of texts that comes with dataguard."""


def scan(
    source: Any,
    *,
    out: str | Path,
    rules: str | Iterable[str] = (),
    config: str | Path | None = None,
    policy: str | Path | None = POLICY,
    against: str | Path | Run | None = None,
    workers: int | None = None,
    batch_rows: int = 65_536,
    secret_file: str | Path | None = None,
    trust_stat: bool = False,
    encoder: Encoder | str | None = None,
    self_test: bool = True,
    progress: Progress | None = None,
) -> Run:
    """Reads and screens a data set, decides by a policy, and writes the report.

    Args:
        source: a path, several paths (a folder that is a table may be named as one: ``delta:PATH``, ``iceberg:PATH@v3``,
            ``hf:PATH``, ``lance:PATH``; a version is the newest unless it is given), one URI (``s3://``, ``gs://``, ``abfs://``: its objects are first copied into the
            folder ``OUT.data``; ``file://``: a path), or anything with ``__arrow_c_stream__`` (a `pyarrow.Table`, a polars
            frame, a one-shot stream), which is first spooled into the folder ``OUT.data`` (mode 0700): it stays
            there for the report and to be attested, and is yours to remove.
        out: the run folder.
        rules: codes or beginnings of codes, e.g. ``["DG101", "DG2"]`` or ``"DG101,DG2"``; all by default.
        config: a ``dataguard.toml``; by default the one of the working directory, if any.
        policy: the name of a shipped policy or a folder of suites; None gives no verdict.
        against: an earlier run to compare with.
        workers: worker processes; by default one for each processor.
        batch_rows: the most rows of a batch; does not change what is found.
        secret_file: the project's secret; made once where it does not exist.
        trust_stat: take a file as unchanged by its size, times and inode. Such a run cannot be attested.
        encoder: makes vectors of texts for the rule about vectors (DG209): an object with a method ``encode``, see
            `dataguard.encoders.Encoder`, or ``"ngrams"`` for the hashed words that come with dataguard. Texts are not
            made vectors of without one.
        self_test: plant a few attacks of each kind in a copy of a sample, in memory, where there are 1,000 records or
            more, and say in the table `coverage` what is found of them.
        progress: told how far it is.

    Returns:
        The run: ``run.table("findings")``, ``run.verdict``.

    Raises:
        UsageError: the call or the configuration is wrong.
        RunError: another scan writes into the same run.
    """
    from dataguard import config as configuration
    from dataguard import detectors
    from dataguard.records.tables import LANCE
    from dataguard.scan import scanner, sources

    folder = Path(out)
    codes = tuple(code for code in (rules.split(",") if isinstance(rules, str) else rules) if code)
    if batch_rows < 1 or (workers is not None and workers < 1):
        raise UsageError(f"expected at least one worker and one row a batch, got {workers} and {batch_rows}")
    if policy is not None:
        _check_policy(policy)  # not only after hours of reading
    earlier = _run(against) if against is not None else None
    source, kinds = sources.named(source)
    found: Fetched | LanceCopies | None = sources.copies(source, folder, progress, trust_stat=trust_stat)
    paths = sources.places(source, folder) if found is None else [found.folder]
    settings = configuration.find(sources.home(paths), Path(config) if config else None, Path.cwd())
    if any(kind.kind == LANCE for _, kind in kinds):
        found = sources.written(paths, kinds, folder, settings.limits, progress, workers)
        paths, kinds = [found.folder], []
    secret = Secret.load(Path(secret_file) if secret_file else None)
    run = scanner.scan(
        paths,
        folder,
        detectors.select(codes, settings.rules),
        settings,
        options=scanner.Options(
            workers=workers or os.cpu_count() or 1,
            batch_rows=batch_rows,
            against=earlier,
            trust_stat=trust_stat,
            secret=secret,
            encoder=_shipped(encoder, secret),
            self_test=self_test,
            fetched=found,
            named=tuple((paths[place], kind) for place, kind in kinds),
        ),
        progress=progress,
    )
    if policy is not None:
        # The gate takes a verdict that stands there only if its policy and the tables are the same.
        run.recall(VERDICT)
        gate(run, policy=policy)
    if not (_says_the_same(run) and run.recall(REPORT)):
        report(run)
    return run


def _shipped(encoder: Encoder | str | None, secret: Secret) -> ShippedEncoder | None:
    if encoder is None:
        return None
    from dataguard.encoders import HashedNgrams
    from dataguard.engine.shipped import ShippedEncoder

    if encoder == NGRAMS:
        encoder = HashedNgrams(secret.derive("encoder"))
    return ShippedEncoder.of(encoder)


def _check_policy(policy: str | Path) -> None:
    from dataguard.gate.policies import policy_path, read_policy

    read_policy(policy_path(str(policy)))


_OF_ONE_SCAN = frozenset(
    {
        "started",
        "finished",
        "stages",
        "worker_seconds",
        "workers",
        "batch_rows",
        "host",
        "stamps",
        "objects",
        "evidence",
    }
)
"""What run.json says of how a scan went, not of what was screened."""


def _says_the_same(run: Run) -> bool:
    """Whether verdict and run.json say what those of the scan before said, so that its report may be shown again."""
    before = run.before
    if before is None or not before.exists(INFO):
        return False
    verdicts = [one.read(VERDICT) if one.exists(VERDICT) else b"" for one in (run, before)]
    facts = [
        {key: value for key, value in one.info.items() if key not in _OF_ONE_SCAN} for one in (run, before)
    ]
    return verdicts[0] == verdicts[1] and facts[0] == facts[1]


def _run(run: str | Path | Run) -> Run:
    return run if isinstance(run, Run) else Run.open(run)


def gate(run: str | Path | Run, *, policy: str | Path = POLICY) -> Verdict:
    """Judges a run's tables by a policy and keeps the verdict in the run.

    Args:
        run: the run or its folder.
        policy: the name of a shipped policy or a folder of suites.

    Raises:
        UsageError: the policy is no policy.
    """
    from dataguard.gate.judge import gate as judge
    from dataguard.gate.policies import policy_path

    return judge(_run(run), policy_path(str(policy)))


def report(run: str | Path | Run, *, data: str | Path | None = None) -> Path:
    """Writes the run's page, ``report.html``.

    Args:
        run: the run or its folder.
        data: where the data lies now, if it moved.

    Raises:
        UsageError: `data` is no folder.
    """
    from dataguard.report import examples, render
    from dataguard.scan.excerpts import read_again

    run = _run(run)
    if data and not Path(data).is_dir():
        raise UsageError(
            f"expected the folder where the data lies now, found none at {escape_name(os.fsencode(data))}",
            "without --data the page shows what still lies where it was scanned",
        )
    texts = read_again(Path(data) if data else Path(run.info["root"]), examples(run))
    return run.write(REPORT, render(run, excerpts=texts).encode())


def findings(run: str | Path | Run, *, rule: str = "", severity: str = "") -> Any:
    """The findings of a run as a polars frame, by rank.

    Args:
        run: the run or its folder.
        rule: only findings of rules whose code begins so.
        severity: only findings at least that severe.

    Raises:
        UsageError: no such severity.
    """
    import polars as pl

    from dataguard.findings import Severity

    table = _run(run).table("findings")
    if rule:
        table = table.filter(pl.col("rule").str.starts_with(rule))
    if severity:
        order = [one.value for one in Severity]
        if severity not in order:
            raise UsageError(f"expected a severity, one of {', '.join(order)}, got {severity!r}")
        table = table.filter(pl.col("severity").is_in(order[order.index(severity) :]))
    return table


def finding(run: str | Path | Run, identity: str) -> dict[str, Any]:
    """One finding with the records it covers.

    Args:
        run: the run or its folder.
        identity: the finding's id, or enough of its beginning.

    Raises:
        UsageError: none or several begin so.
    """
    import polars as pl

    run = _run(run)
    found = run.table("findings").filter(pl.col("id").str.starts_with(identity))
    if found.height != 1:
        raise UsageError(
            f"expected the id of one finding, got {identity!r}, which fits {found.height}",
            "see `dataguard findings`",
        )
    row = found.row(0, named=True)
    records = run.table("flagged").filter(pl.col("finding") == row["id"])
    return {**row, "flagged": records.drop("finding").to_dicts()}


def minhashes(
    run: str | Path | Run, *, secret_file: str | Path | None = None
) -> Iterator[tuple[str, int, MinHash]]:
    """The signatures of a run's records as objects of datasketch, e.g. to be put into its `MinHashLSH`.

    They are made from the words that DG102 kept in the run, as the iterator is asked for them; the data is not read.
    Their seed is part of the project's secret, so keep them as you keep the secret.

    Args:
        run: the run or its folder.
        secret_file: the project's secret, the same as for the scan.

    Yields:
        file, row and object (128 slots, scheme `affine32`) of each record that DG102 judged; by file and row.

    Raises:
        DataguardError: DG102 did not look at the data, its words were changed, or the secret is another.
    """
    return _sketches(run, secret_file).minhashes()


def minhash_candidates(
    run: str | Path | Run, minhashes: Sequence[MinHash], *, secret_file: str | Path | None = None
) -> Iterator[Candidate]:
    """The records of a run that share a key with signatures which somebody kept in datasketch.

    It is the way back of `minhashes`: candidates by the bands of DG102, which are more and wider than those that
    datasketch takes for the same threshold. They are not verified, as a signature has no words.

    Args:
        run: the run or its folder.
        minhashes: objects of datasketch, from `minhashes` of this run or another one with the same secret.
        secret_file: the project's secret, the same as for the scan.

    Yields:
        number of the object, file, row and estimated Jaccard; by file, row and number.

    Raises:
        UsageError: an object was made with another seed, scheme or number of slots.
        DataguardError: as for `minhashes`.
    """
    return _sketches(run, secret_file).candidates(minhashes)


def _sketches(run: str | Path | Run, secret_file: str | Path | None) -> Sketches:
    from dataguard.scan.sketches import Sketches

    return Sketches.of(_run(run), Secret.load(Path(secret_file) if secret_file else None))


def rules() -> list[dict[str, Any]]:
    """The catalogue: code, name, summary, task, threats, severity and lifecycle of every rule."""
    from dataguard.detectors import catalogue

    return [
        {
            "code": kind.rule.code,
            "name": kind.rule.name,
            "summary": kind.rule.summary,
            "task": kind.rule.task,
            "threats": list(kind.rule.threats),
            "severity": kind.rule.severity.value,
            "needs": list(kind.needs),
            "lifecycle": kind.rule.lifecycle,
            "version": kind.rule.version,
        }
        for kind in catalogue()
    ]


def explain(rule: str) -> str:
    """A rule's page.

    Args:
        rule: its code or name.

    Raises:
        UsageError: no such rule.
    """
    from dataguard.detectors import catalogue, nearest, page

    by_word = {word: kind for kind in catalogue() for word in (kind.rule.code, kind.rule.name)}
    wanted = rule if rule in by_word else rule.upper()
    if wanted not in by_word:
        near = nearest(rule, list(by_word))
        hint = f"did you mean {near}?" if near else "see `dataguard rules`"
        raise UsageError(f"expected the code or name of a rule, got {rule!r}", hint)
    kind = by_word[wanted]
    return f"# {kind.rule.code} {kind.rule.name}\n\n{page(kind)}\n"


def adversarial(
    run: str | Path | Run,
    *,
    data: str | Path | None = None,
    records: int = 10_000,
    campaigns: int = 16,
    rates: Sequence[float] = (0.0005, 0.001, 0.005, 0.01),
    workers: int | None = None,
    secret_file: str | Path | None = None,
    export: str | Path | None = None,
    key: str | Path | None = None,
) -> SelfTest:
    """Plants attacks in copies of a sample of a run's data, in memory, and measures what its rules find of them.

    Nothing is written into the data or beside it. The run gets the table `canaries`, and its table `coverage` what was
    measured; the report shows it when it is rendered again.

    Args:
        run: the run or its folder.
        data: where the data lies now, if it moved.
        records: the most records of the sample, up to 50,000.
        campaigns: attacks of each kind at each rate.
        rates: canaries of an attack, as shares of the sample.
        workers: worker processes; by default one for each processor.
        secret_file: the project's secret; what is drawn depends on it.
        export: a new folder, away from the data and the run, for marked canaries of each kind.
        key: a private key: what is exported is signed, by a statement that says what it is.

    Returns:
        The table and whether all rounds were judged.

    Raises:
        UsageError: numbers out of bounds, or canaries must not be exported there.
        RefusedError: the key is none.
        RunError: too few records, or they are not what was screened.
    """
    from dataclasses import replace

    from dataguard.attest.canaries import sign_export
    from dataguard.attest.keys import load_private
    from dataguard.canaries.self_test import Options, self_test

    opened = _run(run)
    if key is not None and export is None:
        raise UsageError(
            "expected --export with --key: nothing else is signed here", "`dataguard attest` signs a run"
        )
    signer = None if key is None else load_private(Path(key))  # refused before anything is planted
    options = Options(
        records=records,
        each=campaigns,
        rates=tuple(rates),
        workers=workers or os.cpu_count() or 1,
        export=Path(export) if export else None,
    )
    secret = Secret.load(Path(secret_file) if secret_file else None)
    with opened.locked():
        found = self_test(opened, _moved(opened, data), secret, options)
    if signer is None:
        return found
    return replace(found, exported=(*found.exported, sign_export(opened, found.exported, signer)))


def _moved(run: Run, data: str | Path | None) -> Path:
    """The root of a run's data, where it lies now."""
    place = Path(data) if data else Path(run.info["root"])
    return place.parent if place.is_file() else place


def keygen(out: str | Path, *, ed25519: bool = False) -> tuple[Path, Path]:
    """Makes a signing key: ``KEY.pem`` (private, mode 0600) and ``KEY.pub.pem``.

    Raises:
        UsageError: a file stands there already.
    """
    from dataguard.attest.keys import keygen as make

    return make(Path(out), ed25519=ed25519)


def attest(run: str | Path | Run, *, key: str | Path, data: str | Path | None = None) -> Path:
    """Reads the data again, compares it with what was screened, and signs the statement.

    Args:
        run: the run or its folder.
        key: the private key.
        data: where the data lies now, if it moved.

    Raises:
        RefusedError: something differs from what was screened, or the run is incomplete.
    """
    from dataguard.attest.sign import attest as sign

    return sign(_run(run), Path(key), data=Path(data) if data else None)


def verify(
    data: str | Path,
    *,
    attestation: str | Path,
    key: str | Path,
    manifest: str | Path | None = None,
    records: bool = False,
) -> Verification:
    """Checks a data set against a signed statement, offline.

    Args:
        data: the data set's root, or its URI: its objects are copied into a temporary folder and checked there;
            ``lance:PATH``: its fragments are written anew there.
        attestation: the envelope.
        key: the public key to trust.
        manifest: the manifest, if it is not beside the attestation.
        records: name the row of what changed.
    """
    from dataguard.attest.verification import verify as check
    from dataguard.attest.verification import verify_lance, verify_store
    from dataguard.records.store_names import is_uri, local_path
    from dataguard.records.stores import Store
    from dataguard.records.tables import LANCE, named_path
    from dataguard.scan.sources import local

    beside = Path(manifest) if manifest else None
    data, kind = named_path(data) if isinstance(data, str) else (data, None)
    if kind is not None and kind.kind == LANCE:
        path = local(data)
        return verify_lance(
            path, kind.version, Path(attestation), Path(key), manifest=beside, records=records
        )
    if isinstance(data, str) and is_uri(data) and local_path(data) is None:
        return verify_store(Store.of(data), Path(attestation), Path(key), manifest=beside, records=records)
    return check(local(data), Path(attestation), Path(key), manifest=beside, records=records)


def verify_canaries(folder: str | Path, *, attestation: str | Path, key: str | Path) -> CanaryVerification:
    """Checks exported canaries against the signed statement about them, offline. They are never training data.

    Args:
        folder: the files; the statement may lie among them.
        attestation: the envelope, ``adversarial-canaries.intoto.jsonl``.
        key: the public key to trust.

    Raises:
        RefusedError: the key or the statement is not to be trusted, or not about canaries.
    """
    from dataguard.attest.canaries import verify_export

    return verify_export(Path(folder), Path(attestation), Path(key))


def diff(old: str | Path, new: str | Path) -> list[Change]:
    """What changed between two runs or two manifests.

    Args:
        old: a run folder or a ``manifest.jsonl``.
        new: the same, later.
    """
    from dataguard.manifest import diff as compare

    (before, old_leaves), (after, new_leaves) = _manifest(Path(old)), _manifest(Path(new))
    return compare(before, after, old_leaves=old_leaves, new_leaves=new_leaves)


def _manifest(path: Path) -> tuple[Any, Any]:
    from dataguard.manifest import MANIFEST, Manifest, read_leaves

    file = path / MANIFEST if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"expected a run or a manifest, but {file} does not exist")
    manifest = Manifest.parse(file.read_bytes())
    leaves = file.parent / "leaves"
    if not leaves.is_dir():
        return manifest, None
    return manifest, lambda name: read_leaves(
        leaves, manifest.by_name[name].sha256, manifest.by_name[name].rows
    )


def doctor() -> dict[str, Any]:
    """Versions and digests of the tool and its libraries, and whether this machine can run it."""
    from dataguard.tools import examine

    return examine()


def exit_code(run: Run) -> int:
    """What a pipeline goes by: 0 passed or only screened, 1 the policy failed, 3 incomplete; 3 beats 1."""
    from dataguard.report.standing import standing

    return standing(run).exit_code
