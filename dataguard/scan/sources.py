"""What a scan is asked to read, and the paths where it then lies: files, tables by name, stores, frames and streams."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataguard.errors import UsageError
from dataguard.run import SPOOL_MARK, Run

if TYPE_CHECKING:
    from dataguard.config import Limits
    from dataguard.records.copies import Fetched
    from dataguard.records.tables import Named
    from dataguard.scan.lance_copies import LanceCopies
    from dataguard.scan.progress import Progress

SPOOLED, SPOOLING = "data.parquet", ".data.tmp"
SPOOL_ROWS, SPOOL_BYTES = 65_536, 64 << 20
"""What of a stream is held before it is written as a row group."""


def named(source: Any) -> tuple[Any, list[tuple[int, Named]]]:
    """The source without the kinds that its paths were named with, and those kinds by the number of the path."""
    from dataguard.records.tables import named_path

    several = isinstance(source, (list, tuple))
    found = [
        named_path(one) if isinstance(one, str) else (one, None) for one in (source if several else [source])
    ]
    kinds = [(number, kind) for number, (_, kind) in enumerate(found) if kind is not None]
    _check_kinds(found)
    plain = [path for path, _ in found]
    return plain if several else plain[0], kinds


def _check_kinds(found: Sequence[tuple[Any, Named | None]]) -> None:
    """Refuses, before anything is read, what cannot be read as the kind that it was named with."""
    from dataguard.records.store_names import is_uri
    from dataguard.records.tables import ICEBERG, LANCE, iceberg

    for path, named in found:
        kind = None if named is None else named.kind
        if kind == ICEBERG and not iceberg.available():
            raise UsageError(
                "manifests of Iceberg are read by the package fastavro, which is not installed", iceberg.EXTRA
            )
        if kind == LANCE and is_uri(path):
            raise UsageError(f"expected a folder of this machine after {LANCE}:, got a URI", "copy it first")


def written(
    paths: Sequence[Path],
    kinds: Sequence[tuple[int, Named]],
    out: Path,
    limits: Limits,
    progress: Progress | None,
    workers: int | None,
) -> LanceCopies:
    """The fragments of a Lance data set, written anew beside the run."""
    from dataguard.scan.lance_copies import lance_copies
    from dataguard.scan.progress import Silent

    if len(paths) > 1:
        raise UsageError(
            f"expected one Lance data set and nothing beside it, got {len(paths)} places",
            "scan them one after the other, with --against",
        )
    ((_, kind),) = kinds
    count = workers or os.cpu_count() or 1
    return lance_copies(paths[0], kind.version, out, limits, progress or Silent(), workers=count)


def copies(source: Any, out: Path, progress: Progress | None, *, trust_stat: bool) -> Fetched | None:
    """The copies of what a URI names, None where no store is named."""
    from dataguard.records.store_names import is_uri, local_path
    from dataguard.scan.fetching import fetched
    from dataguard.scan.progress import Silent

    given = source if isinstance(source, (list, tuple)) else [source]
    uris = [one for one in given if is_uri(one) and local_path(one) is None]
    if not uris:
        return None
    if len(given) > 1:
        raise UsageError(
            f"expected one URI and nothing beside it, got {len(given)} places",
            "name the folder that they share, or scan them one after the other with --against",
        )
    return fetched(uris[0], out, progress or Silent(), trust_stat=trust_stat)


def local(source: str | os.PathLike[str]) -> Path:
    """The path that is named, as such or by a `file://` URI."""
    from dataguard.records.store_names import is_uri, local_path

    path = local_path(source) if isinstance(source, str) and is_uri(source) else None
    return Path(source) if path is None else path


def places(source: Any, folder: Path) -> list[Path]:
    """The paths of files and folders; of a frame or a stream the folder beside the run that it is written into.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(source, (str, os.PathLike)):
        return [local(source)]
    if hasattr(source, "__arrow_c_stream__"):
        return [_spool(source, folder)]
    if isinstance(source, Sequence) and all(isinstance(one, (str, os.PathLike)) for one in source):
        return [local(one) for one in source]
    raise UsageError(
        f"expected a path, paths or an Arrow table or stream, got {type(source).__name__}",
        "anything with __arrow_c_stream__ will do, e.g. a pyarrow.Table or a polars.DataFrame",
    )


def _spool(source: Any, folder: Path) -> Path:
    """Writes a stream beside the run, so that it can be read more than once and found again."""
    import pyarrow as pa

    folder = folder.resolve()
    spool = folder.with_name(folder.name + ".data")
    mark = folder / SPOOL_MARK
    found = {entry.name for entry in spool.iterdir()} if spool.is_dir() else set()
    if (
        (spool.exists() and not spool.is_dir())
        or found - {SPOOLED, SPOOLING}
        or (found and not mark.exists())
    ):
        raise UsageError(
            f"expected to spool the stream into {spool}, but something of somebody else's stands there",
            "choose another --out",
        )
    run = Run.create(folder)
    with run.locked():
        spool.mkdir(exist_ok=True, mode=0o700)
        mark.touch()
        spool.chmod(0o700)
        try:
            _write_stream(pa.RecordBatchReader.from_stream(source), spool / SPOOLING)
        except pa.ArrowNotImplementedError as error:
            raise UsageError(
                f"the stream has a column that Parquet cannot hold: {error}", "cast or leave it out"
            ) from error
        (spool / SPOOLING).replace(spool / SPOOLED)
    return spool


def _write_stream(reader: Any, path: Path) -> None:
    """Writes batches of whatever size as row groups that are worth one.

    Raises:
        UsageError: there are rows, but no columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        held: list[Any] = []
        rows = size = 0
        for batch in reader:
            if batch.num_rows and not batch.num_columns:
                raise UsageError(f"expected columns, got {batch.num_rows} rows of none")
            held.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows >= SPOOL_ROWS or size >= SPOOL_BYTES:
                writer.write_table(pa.Table.from_batches(held), row_group_size=SPOOL_ROWS)
                held, rows, size = [], 0, 0
        if held:
            writer.write_table(pa.Table.from_batches(held), row_group_size=SPOOL_ROWS)


def home(paths: Sequence[Path]) -> Path:
    """The folder of the data whose settings count as the data's own: the one we stand in, else the first."""
    if not paths:
        raise UsageError("expected at least one file or folder of data, got none")
    here = Path.cwd().resolve()
    folders = [path if path.is_dir() else path.resolve().parent for path in paths]
    return next((folder for folder in folders if here.is_relative_to(folder.resolve())), folders[0])
