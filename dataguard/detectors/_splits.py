"""Which split of a set each record is of, by the words that people use for them."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from dataguard.columns import Role
from dataguard.detectors._values import plain
from dataguard.errors import UsageError
from dataguard.records.batch import Batch

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
NAMES: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), VALIDATION),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "heldout", "held-out", "held_out"), TEST),
}


def split_names(code: str, names: str) -> dict[str, str]:
    """What the values of a split column mean.

    Args:
        code: of the rule whose option it is.
        names: further values, e.g. ``gold=test,fold-1=train``.

    Raises:
        UsageError: they are not of that form.
    """
    named = [one.strip().split("=") for one in names.split(",") if one.strip()]
    if not all(len(one) == 2 and one[1].strip() in SPLITS for one in named):
        raise UsageError(
            f"{code}: expected names to be words for train, validation or test, got {names!r}",
            "write them as gold=test,fold-1=train",
        )
    return {**NAMES, **{word.strip().lower(): split.strip() for word, split in named}}


_BETWEEN = r"[-_.=+% \[\]()]"
"""What stands between the words of a file's name."""


def split_of_file(name: str, names: Mapping[str, str]) -> str:
    """The split that the name of a file tells, e.g. ``data/train-00000-of-00002.parquet`` or ``split=test/0.parquet``.

    Args:
        name: with its folders.
        names: words and what they mean.

    Returns:
        the split that the file's own name or else the nearest folder tells; empty where none or two are told.
    """
    parts = pl.Series(name.lower().split("/"), dtype=pl.String)
    for words in parts.str.replace_all(_BETWEEN, " ").str.split(" ").reverse().to_list():
        told = {names[word] for word in words if word in names}
        if told:
            return told.pop() if len(told) == 1 else ""
    return ""


def splits_of(batch: Batch, names: Mapping[str, str]) -> pl.Series:
    """The split of each record, of the first of its columns that names one we know; empty where none does."""
    columns = [plain(batch, column) for column in batch.roles.of(Role.SPLIT)]
    known = [one.replace_strict(names, default=None, return_dtype=pl.String) for one in columns]
    table = pl.DataFrame({"row": batch.rows()}, schema={"row": pl.UInt64})
    return table.with_columns(split=pl.coalesce(*known, pl.lit("", dtype=pl.String)))["split"]
