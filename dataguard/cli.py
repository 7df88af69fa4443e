"""The command line: words to calls, results to words and exit codes. The only module that prints.

Exit codes: 0 done and passed, 1 the policy failed or verification refused, 2 misuse, 3 incomplete (unreadable
input, a limit, an error in a rule; 3 beats 1), 130 interrupted. Machine output goes to stdout alone, progress
and messages to stderr. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dataguard.errors import DataguardError, RefusedError, UsageError
from dataguard.version import __version__

PASSED, FAILED, MISUSE, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="dataguard",
    help="Checks the integrity of training data and screens it for poisoning before a model is trained on it.",
    epilog="Exit codes: 0 passed, 1 failed or refused, 2 misuse, 3 incomplete, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")]
FormatOption = Annotated[Format, typer.Option("--format", help="Text for people, JSON for machines.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Where the data lies now, if it moved.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"dataguard {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def scan(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="Files and folders of data, or one URI (s3, gs, abfs, file). Tables as delta:PATH, iceberg:PATH, hf:PATH "
            "or lance:PATH, an earlier version as delta:PATH@v3.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The run folder: new, or an earlier run of the same data.")
    ],
    rules: Annotated[
        str, typer.Option(help="Only these rules: codes or their beginnings, e.g. DG101,DG2.")
    ] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes.  [default: all processors]")
    ] = None,
    batch_rows: Annotated[int, typer.Option(min=1, help="The most rows of a batch.")] = 65_536,
    policy: Annotated[str, typer.Option(help="A shipped policy, or a folder of suites.")] = "release",
    no_gate: Annotated[bool, typer.Option("--no-gate", help="Screen only, give no verdict.")] = False,
    against: Annotated[Path | None, typer.Option(help="An earlier run to compare with.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings.  [default: dataguard.toml or pyproject.toml here]")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="The project's secret; made if absent.")] = None,
    trust_stat: Annotated[
        bool, typer.Option("--trust-stat", help="Do not hash files whose size and times are as before.")
    ] = False,
    no_self_test: Annotated[
        bool, typer.Option("--no-self-test", help="Do not measure what is found of a few planted attacks.")
    ] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Read and screen a data set, decide by a policy, write the report."""
    from dataguard import api
    from dataguard.report.summary import summary_json, summary_text

    run = api.scan(
        list(data),
        out=out,
        rules=rules,
        config=config,
        policy=None if no_gate else policy,
        against=against,
        workers=workers,
        batch_rows=batch_rows,
        secret_file=secret_file,
        trust_stat=trust_stat,
        self_test=not no_self_test,
        progress=_Bars(),
    )
    code = api.exit_code(run)
    _show(output, lambda: {**summary_json(run), "exit_code": code}, lambda: summary_text(run))
    raise typer.Exit(code)


@app.command()
def gate(
    run: RunArgument,
    policy: Annotated[str, typer.Option(help="A shipped policy, or a folder of suites.")] = "release",
    output: FormatOption = Format.TEXT,
) -> None:
    """Judge a run by a policy."""
    from dataguard import api
    from dataguard.report.summary import summary_json, summary_text
    from dataguard.run import Run

    opened = Run.open(run)
    api.gate(opened, policy=policy)
    code = api.exit_code(opened)
    _show(output, lambda: {**summary_json(opened), "exit_code": code}, lambda: summary_text(opened))
    raise typer.Exit(code)


@app.command()
def report(run: RunArgument, data: DataOption = None) -> None:
    """Render a run's page again."""
    from dataguard import api

    print(api.report(run, data=data))


@app.command()
def findings(
    run: RunArgument,
    show: Annotated[str, typer.Option(help="Show one finding, by its id or the beginning of it.")] = "",
    rule: Annotated[str, typer.Option(help="Only rules whose code begins so.")] = "",
    severity: Annotated[str, typer.Option(help="Only at least this severe: info, low, medium, high.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 20,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="List the kinds of attack covered and not covered instead.")
    ] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the findings of a run by rank, or show one with its records."""
    from dataguard import api
    from dataguard.run import Run

    covered = Run.open(run).table("coverage")
    if coverage:
        _show(output, covered.to_dicts, lambda: _coverage_text(covered))
        return
    if show:
        one = api.finding(run, show)
        _show(output, lambda: one, lambda: _finding_text(one, limit))
        return
    table = api.findings(run, rule=rule, severity=severity)
    _show(
        output, table.to_dicts, lambda: f"{_findings_text(table, limit)}\n\n{_covered_text(covered)}".rstrip()
    )


def _covered_text(table: Any) -> str:
    from dataguard.report.attacks import counted

    said = counted(table)
    return f"kinds of attack: {said}; --coverage names them" if said else ""


def _coverage_text(table: Any) -> str:
    from dataguard.coverage import ordered
    from dataguard.report.attacks import measured
    from dataguard.safe_text import for_terminal

    lines = []
    for row in ordered(table).iter_rows(named=True):
        lines.append(f"{for_terminal(row['status'], limit=20):<12} {for_terminal(row['name'], limit=120)}")
        lines.append(f"{'':<12} {for_terminal(row['reason'], limit=300)}")
        if measured(row):
            lines.append(f"{'':<12} measured: found {measured(row)}")
    return "\n".join(lines) or "this run has no table of coverage"


def _findings_text(table: Any, limit: int) -> str:
    from dataguard.safe_text import for_terminal

    lines = []
    for row in table.head(limit).iter_rows(named=True):
        where = " ".join(for_terminal(row[name], limit=40) for name in ("column", "group") if row[name])
        lines.append(
            f"{row['rank']:>4}  {row['id']}  {row['severity']:<6}  {row['score']:.3f}  {row['records']:>6} records  {where}"
        )
        lines.append(f"      {for_terminal(row['why'], limit=160)}")
    if table.height > limit:
        lines.append(f"      ... {table.height - limit} more: --limit {table.height}")
    return "\n".join(lines) or "no findings"


def _finding_text(one: dict[str, Any], limit: int) -> str:
    from dataguard.safe_text import for_terminal

    lines = [
        f"{name:<11} {for_terminal(value, limit=400)}" for name, value in one.items() if name != "flagged"
    ]
    lines.append("")
    for record in one["flagged"][:limit]:
        row = "" if record["row"] is None else f" row {record['row']}"
        spans = ", ".join(f"{s['column']}[{s['start']}:{s['end']}]" for s in record["span"] or ())
        lines.append(
            f"  {for_terminal(record['file'])}{row}  {for_terminal(spans)}  {for_terminal(record['why'], limit=120)}"
        )
    if len(one["flagged"]) > limit:
        lines.append(f"  ... {len(one['flagged']) - limit} more: --limit {len(one['flagged'])}")
    return "\n".join(lines)


@app.command()
def adversarial(
    run: RunArgument,
    data: DataOption = None,
    records: Annotated[int, typer.Option(help="The most records of the sample, up to 50,000.")] = 10_000,
    campaigns: Annotated[int, typer.Option(min=1, help="Attacks of each kind at each rate.")] = 16,
    rates: Annotated[str, typer.Option(help="Canaries of an attack, as shares of the sample.")] = (
        "0.0005,0.001,0.005,0.01"
    ),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes.  [default: all processors]")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="The project's secret; made if absent.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="A new folder for marked canaries, away from data and run.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The private key that signs what is exported.")] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Plant attacks in a copy of a sample, in memory, and measure what the run's rules find. Exit 3 if not all was judged."""
    from dataguard import api

    found = api.adversarial(
        run,
        data=data,
        records=records,
        campaigns=campaigns,
        rates=_shares(rates),
        workers=workers,
        secret_file=secret_file,
        export=export,
        key=key,
    )
    _show(output, found.to_json, lambda: _canaries_text(found))
    raise typer.Exit(PASSED if found.complete else INCOMPLETE)


def _shares(words: str) -> list[float]:
    try:
        return [float(word) for word in words.split(",") if word.strip()]
    except ValueError:
        raise UsageError(f"expected shares such as 0.001,0.01, got {words!r}") from None


def _canaries_text(found: Any) -> str:
    from dataguard.safe_text import for_terminal

    lines = [f"{'attack':<22}{'records':>8}{'rate':>9}{'campaigns':>11}{'recall':>9}  {'95 %':<12}  found by"]
    for row in found.table.iter_rows(named=True):
        ends = f"{row['low']:.2f} to {row['high']:.2f}"
        lines.append(
            f"{row['attack']:<22}{row['records']:>8}{row['rate']:>9.2%}{row['campaigns']:>11}"
            f"{row['recall']:>9.2f}  {ends:<12}  {row['rules']}".rstrip()
        )
    lines += ["", *_smallest(found.table)]
    lines.append(f"{found.records} records, {found.rounds} copies judged")
    lines += [f"exported: {for_terminal(str(path), limit=1000)}" for path in found.exported]
    lines += [f"incomplete: {code}: {for_terminal(why, limit=300)}" for code, why in found.problems.items()]
    return "\n".join(lines)


def _smallest(table: Any) -> list[str]:
    """The fewest records of a campaign that was found, for each kind of attack."""
    smallest: dict[str, int] = {}
    for row in table.iter_rows(named=True):
        smallest.setdefault(row["attack"], 0)
        if row["campaigns_found"] and not smallest[row["attack"]]:
            smallest[row["attack"]] = row["records"]
    return [
        f"{attack}: smallest found {records} records" if records else f"{attack}: none found"
        for attack, records in smallest.items()
    ]


@app.command()
def rules(output: FormatOption = Format.TEXT) -> None:
    """List the rules."""
    from dataguard import api

    catalogue = api.rules()
    _show(
        output,
        lambda: catalogue,
        lambda: "\n".join(
            f"{r['code']}  {r['name']:<22} {r['severity']:<7} {r['summary']}" for r in catalogue
        ),
    )


@app.command()
def explain(rule: Annotated[str, typer.Argument(metavar="RULE", help="Code or name, e.g. DG203.")]) -> None:
    """Print a rule's page: what it looks for, why it matters, its limits, what to do."""
    from dataguard import api

    print(api.explain(rule))


@app.command()
def keygen(
    out: Annotated[Path, typer.Option("--out", help="KEY.pem; the public key is written to KEY.pub.pem.")],
    ed25519: Annotated[bool, typer.Option("--ed25519", help="Ed25519 instead of ECDSA P-256.")] = False,
) -> None:
    """Make a signing key."""
    from dataguard import api

    private, public = api.keygen(out, ed25519=ed25519)
    print(f"{private}\n{public}")


@app.command()
def attest(
    run: RunArgument,
    key: Annotated[Path, typer.Option(help="The private key.")],
    data: DataOption = None,
) -> None:
    """Read the data again, compare it with what was screened, and sign the statement."""
    from dataguard import api

    print(api.attest(run, key=key, data=data))


@app.command()
def verify(
    data: Annotated[str, typer.Argument(metavar="DATA", help="The data set's folder, or its URI.")],
    attestation: Annotated[Path, typer.Option(help="The signed statement.")],
    key: Annotated[Path, typer.Option(help="The public key to trust.")],
    manifest: Annotated[
        Path | None, typer.Option(help="The manifest, if not beside the attestation.")
    ] = None,
    records: Annotated[bool, typer.Option("--records", help="Name the rows of what changed.")] = False,
    canaries: Annotated[
        bool, typer.Option("--canaries", help="Check exported canaries, which are no training data.")
    ] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check a data set against a signed statement, offline."""
    from dataguard import api

    if canaries:
        if manifest is not None or records:
            raise UsageError("expected neither --manifest nor --records with --canaries: these have none")
        found = api.verify_canaries(data, attestation=attestation, key=key)
        _show(output, found.to_json, lambda: f"{_verification_text(found)}\n{_notice_text(found)}")
        raise typer.Exit(PASSED if found.ok else FAILED)
    result = api.verify(data, attestation=attestation, key=key, manifest=manifest, records=records)
    _show(output, result.to_json, lambda: _verification_text(result))
    raise typer.Exit(PASSED if result.ok else FAILED)


def _verification_text(result: Any) -> str:
    from dataguard.safe_text import for_terminal

    lines = ["verified" if result.ok else f"refused: {len(result.problems)} problem(s)"]
    for problem in result.problems:
        row = "" if problem.row is None else f" row {problem.row}"
        lines.append(f"  {problem.kind}: {for_terminal(problem.file)}{row}: {for_terminal(problem.reason)}")
    return "\n".join(lines)


def _notice_text(result: Any) -> str:
    from dataguard.safe_text import for_terminal

    return f"NO TRAINING DATA: {for_terminal(result.notice, limit=300)}"


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A run or a manifest.jsonl.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The same, later.")],
    output: FormatOption = Format.TEXT,
) -> None:
    """Say what changed between two runs, file by file and record by record. Exit 1 if anything did."""
    from dataguard import api
    from dataguard.safe_text import for_terminal

    changes = api.diff(old, new)

    def text() -> str:
        rows = (
            f"{c.change:<14} {for_terminal(c.file)}{'' if c.row is None else f' row {c.row}'}  {for_terminal(c.reason)}"
            for c in changes
        )
        return "\n".join(rows) or "no difference"

    _show(output, lambda: [dict(c._asdict()) for c in changes], text)
    raise typer.Exit(FAILED if changes else PASSED)


@app.command()
def doctor(output: FormatOption = Format.TEXT) -> None:
    """Print versions and digests of the tool and its libraries, and what this machine lacks."""
    from dataguard import api

    found = api.doctor()

    def text() -> str:
        return "\n".join(
            f"{name:<24} {value}" for name, value in found.items() if not isinstance(value, (dict, list))
        )

    _show(output, lambda: found, text)


def _show(output: Format, as_json: Callable[[], Any], as_text: Callable[[], str]) -> None:
    if output is Format.JSON:
        # ASCII only: no character of the data can do anything to the terminal it ends up in.
        print(json.dumps(as_json(), indent=1, ensure_ascii=True, allow_nan=False, default=str))
    else:
        print(as_text())


class _Bars:
    """Progress bars on stderr, with rate and time left; nothing where it is no terminal."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int, int], None]]:
        """Shows one bar until the stage ends; nothing for a stage without items."""
        if not total:
            yield lambda items, size: None  # noqa: ARG005
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bars:
            task = bars.add_task(name, total=total, rate="")
            done = 0

            def advance(items: int, size: int) -> None:
                nonlocal done
                done += size
                elapsed = bars.tasks[0].elapsed or 0
                rate = f"{done / elapsed / 1e6:,.0f} MB/s" if elapsed and done else ""
                bars.update(task, advance=items, rate=rate)

            yield advance


def _fail(error: DataguardError) -> NoReturn:
    from dataguard.safe_text import for_terminal

    for line in str(error).splitlines():
        print(
            f"dataguard: {for_terminal(line, limit=1000)}"
            if line == error.problem
            else for_terminal(line, limit=1000),
            file=sys.stderr,
        )
    if isinstance(error, UsageError):
        sys.exit(MISUSE)
    sys.exit(FAILED if isinstance(error, RefusedError) else INCOMPLETE)


def _crash() -> NoReturn:
    """An error of our own. Libraries quote the data in theirs, and 1 would mean that a policy failed."""
    import traceback

    from dataguard.safe_text import for_terminal

    for line in traceback.format_exc().splitlines():
        print(for_terminal(line, limit=1000), file=sys.stderr)
    print("dataguard: this should not have happened; please report it with the lines above", file=sys.stderr)
    sys.exit(INCOMPLETE)


def main() -> None:
    """The entry point of the `dataguard` command."""
    try:
        app()
    except DataguardError as error:
        _fail(error)
    except OSError as error:
        # A full disk, say: not what a policy says of the data, which 1 would mean.
        _fail(
            DataguardError(
                f"{error.strerror or error}: {error.filename or ''}", "the same command tries again"
            )
        )
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # typer's word for an interrupt
            print("dataguard: interrupted; the same command goes on where it was", file=sys.stderr)
        raise
    except BaseException:  # noqa: BLE001  # a panic of polars is no Exception
        _crash()
