"""Marked canaries as files, for a team's own adversarial training and tests: only where somebody asks for it.

Each record says of itself, in a column and in its text, that it is a canary; a scan with the same secret finds them
wherever they end up, and such a run is never signed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataguard.atomic import write_atomic
from dataguard.canaries.marks import mark
from dataguard.canaries.planting import MOST_CANARIES, Campaign, Ground, Planter, campaigns
from dataguard.canaries.sample import Group
from dataguard.config import Limits
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import RunError, UsageError
from dataguard.run import Run
from dataguard.secret import Secret

RECORDS = 50
"""Canaries of each kind that are exported at the most."""
MARK, ATTACK = "dataguard_canary", "dataguard_attack"
LABEL = "adversarial canaries made by dataguard: poisoned on purpose, for tests and adversarial training only"
README = f"""# Poisoned on purpose

These files hold {LABEL}.

They are records of a data set into which `dataguard adversarial --export` put attacks: a file for each kind. The column
`{MARK}` and, where there is one, the text of each record carry a mark of the project that made them.

Do not put them among training data. A scan by the same project finds the marks (DG508) and its run is never signed.
The records hold text of the data set that they were made from: handle them as you handle that.
"""


@dataclass(frozen=True)
class ExportItem:
    """Campaigns whose records are to be made.

    Args:
        groups: the sample.
        campaigns: one of each kind.
        key: seeds what is drawn.
        shared: what the marks are made with.
    """

    groups: tuple[Group, ...]
    campaigns: tuple[Campaign, ...]
    key: bytes = field(repr=False)
    shared: bytes = field(repr=False)


def check_place(folder: Path, run: Run, root: Path) -> None:
    """Refuses a folder in which canaries could pass for data.

    Raises:
        UsageError: it is not new or empty, or lies in, beside or around the data or the run.
    """
    real = folder.resolve()
    homes = [root, run.path, *(Path(path) for path in run.info["data"])]
    for home in homes:
        there = home.resolve()
        around = there.parent if there.is_file() else there
        if real.is_relative_to(around) or around.is_relative_to(real):
            raise UsageError(
                f"expected a folder for canaries away from the data and the run, got {folder}, which meets {home}",
                "choose another --export",
            )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"expected a new or empty folder for canaries, got {folder}", "choose another --export"
        )


def export(run: Run, groups: tuple[Group, ...], folder: Path, secret: Secret) -> list[Path]:
    """Writes marked canaries, a file for each kind of attack, and a page that says what they are.

    Args:
        run: whose limits hold.
        groups: the sample.
        folder: checked by `check_place`.
        secret: the project's.

    Returns:
        The files.

    Raises:
        RunError: they could not be made.
        UsageError: the data has a column of the name that the marks get.
    """
    key = secret.derive("canaries export")
    grounds = [Ground.of(group) for group in groups]
    if any({MARK, ATTACK} & set(ground.group.data.schema.names) for ground in grounds):
        raise UsageError(f"expected data without the columns {MARK} and {ATTACK}: these are canaries already")
    most = max(int(ground.group.data.num_rows * MOST_CANARIES) for ground in grounds)
    planned = campaigns(grounds, (min(RECORDS, most),), 1, key)
    made = _made(run, ExportItem(groups, planned, key, secret.derive("rules")))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    paths = [write_atomic(folder / "README.md", README.encode())]
    for campaign, data in zip(planned, made, strict=True):
        sink = io.BytesIO()
        schema = data.schema.with_metadata({b"dataguard.canaries": LABEL.encode()})
        pq.write_table(pa.Table.from_batches([data]).cast(schema), sink, compression="zstd")
        paths.append(
            write_atomic(folder / f"adversarial-canaries-{campaign.attack}.parquet", sink.getvalue())
        )
    return paths


def _made(run: Run, item: ExportItem) -> Sequence[pa.RecordBatch]:
    limits = Limits(**run.info["limits"])
    with LocalEngine(workers=1, memory=limits.memory_bytes, seconds=limits.conclude_seconds) as engine:
        (result,) = engine.map(export_item, [item])
    if isinstance(result.value, Failed):
        raise RunError(f"the canaries could not be made: {result.value.reason}", "take a smaller sample")
    return result.value  # type: ignore[no-any-return]


def export_item(item: ExportItem) -> list[pa.RecordBatch]:
    """The marked records of each campaign, in the worker."""
    planter = Planter([Ground.of(group) for group in item.groups], item.key)
    made = []
    for campaign in item.campaigns:
        label = mark(item.shared, campaign.name)
        data = planter.marked(campaign, label)
        for name, value in ((MARK, label), (ATTACK, campaign.attack)):
            data = data.append_column(name, pa.array([value] * data.num_rows, pa.large_string()))
        made.append(data)
    return made
