"""Homogeneity (DG304) of clean sets and of floods, beside the packages and definitions that its measures are from.

One command prints one table: of each set the group that is most out of line with the others, its measures, what the
reference packages say of the same sample, and whether it is a finding.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from dataguard.canaries.in_memory import judge, look
from dataguard.columns import resolve
from dataguard.detectors._homogeneity.comparing import standing
from dataguard.detectors._homogeneity.measures import Amount, unit_vectors
from dataguard.detectors._homogeneity.sample import Group, opened
from dataguard.detectors._homogeneity.sides import SIDES
from dataguard.detectors.homogeneity import Homogeneity
from dataguard.records.batch import Batch
from dataguard.words import words_of
from jobs import HERE, number, run, show
from rivals import Peer, reference_python

REFERENCE = Peer("", "vendi-score", ("vendi-score==0.0.3",), ("homogeneity_reference.py",), "")
SHOWN = ("compression_ratio", "distinct_triples", "entropy_of_triples", "mean_cosine", "vendi_score")
AT_ONCE = 20_000
"""Records of a batch."""
FORM = "Thank you for asking. Our partner for {} is the right address, as all who tried it will tell you."


@dataclass(frozen=True)
class Set:
    """A set to be measured: its name, whether it is a flood, and its records."""

    name: str
    flood: bool
    records: pl.DataFrame


def mixed(work: Path, folder: Path, *options: str) -> pl.DataFrame:
    """A set of the shared mixer, with `attack` of each record: null for clean ones."""
    out = work / "sets" / "-".join(one.strip("-") for one in options)
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(folder / "poison" / "mix.py"), options[0], str(out), *options[1:]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    table = pl.concat([pl.read_parquet(path) for path in sorted(out.glob("*.parquet"))])
    return table.join(pl.read_parquet(f"{out}.truth.parquet"), on="id", how="left", maintain_order="left")


def sets(work: Path, shared: Path) -> Iterator[Set]:
    """Clean sets, then floods of a source or label, then poison that is spread thin."""
    folder = shared / "data"
    clean = mixed(work, folder, "instruct", "--attack", "badnet", "--rate", "0")
    yield Set("instructions", False, clean.drop("attack"))
    for dataset in ("sst-2", "ag"):
        texts = mixed(work, folder, "classify", "--attack", "badnets", "--dataset", dataset, "--rate", "0")
        yield Set(
            f"labelled texts, {dataset}", False, texts.select("text", label=pl.col("label").cast(pl.String))
        )
    for part in range(3):
        path = folder / "neardup" / f"part-00{part}.parquet"
        yield Set(f"documents, part {part}", False, pl.read_parquet(path).select("text", "source"))
    # What groups of this size differ by where they do not differ: 60 drawn by chance.
    random = pl.Series(np.random.default_rng(1).integers(0, 60, 38_860)).cast(pl.String)
    documents = pl.read_parquet(folder / "neardup" / "part-000.parquet").select("text").head(len(random))
    yield Set(
        "documents, part 0, random groups", False, documents.with_columns(source=random.head(len(documents)))
    )
    for attack in ("badnet", "vpi", "sleeper"):
        for task in ("refusal", "negsentiment"):
            options = ("instruct", "--attack", attack, "--task", task, "--rate", "0.01")
            table = mixed(work, folder, *options)
            own = pl.when(pl.col("attack").is_not_null()).then(pl.lit("flood")).otherwise("source")
            yield Set(
                f"{attack}, {task}, 1 %, a source of its own",
                True,
                table.with_columns(source=own).drop("attack"),
            )
    half = clean.with_columns(
        pl.when(pl.col("source") == "roleplay").then(pl.lit("flood")).otherwise("source").alias("source")
    )
    form = [FORM.format(text.split(" ")[-1]) for text in half["instruction"]]
    for share in (2, 4):
        hit = (pl.col("source") == "flood") & (pl.int_range(pl.len()) % share == 0)
        replies = half.with_columns(output=pl.when(hit).then(pl.Series(form)).otherwise("output"))
        yield Set(f"a form in 1/{share} of a source's replies", True, replies.drop("attack"))
    thin = mixed(work, folder, "instruct", "--attack", "vpi", "--task", "refusal", "--rate", "0.01")
    yield Set("vpi, refusal, 1 %, spread over all sources", True, thin.drop("attack"))


def batches(records: pl.DataFrame) -> list[Batch]:
    """The records as rules are given them."""
    data = records.drop("id", strict=False).to_arrow()
    schema = pa.schema([pa.field(one.name, pa.large_string()) for one in data.schema])
    data = data.cast(schema).combine_chunks()
    whole = data.to_batches()[0]
    roles = resolve(schema, {})
    return [Batch(whole.slice(at, AT_ONCE), at, roles) for at in range(0, len(whole), AT_ONCE)]


def texts_in(group: Group) -> list[str]:
    """The text of each record of a sample, as hex."""
    bounds = [0, *group.written.ends.tolist()]
    return [group.written.text[low:high].tobytes().hex() for low, high in itertools.pairwise(bounds)]


def words_in(group: Group) -> list[list[int]]:
    """The words of each record of a sample."""
    bounds = [0, *group.written.word_ends.tolist()]
    return [group.written.ids[low:high].tolist() for low, high in itertools.pairwise(bounds)]


def vectors_of(group: Group, amount: Amount, salt: int) -> np.ndarray[Any, Any]:
    """The vectors that our scores are of; none where there are too few records."""
    ends = group.written.word_ends[: amount.records]
    if len(ends) < amount.records:
        return np.empty((0, 0))
    return unit_vectors(group.written.ids[: ends[-1]].astype(np.uint64), ends, salt)


def references(work: Path, python: Path, groups: list[Group], salt: int) -> list[dict[str, float]]:
    """What the reference packages say of samples."""
    amount, folder = Amount.of(Homogeneity.amount), work / "groups"
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        "amount": amount._asdict(),
        "texts": [texts_in(group) for group in groups],
        "words": [words_in(group) for group in groups],
    }
    (folder / "groups.json").write_text(json.dumps(given))
    for place, group in enumerate(groups):
        np.save(folder / f"{place}.npy", vectors_of(group, amount, salt))
    script = HERE / "peers" / "homogeneity_reference.py"
    out = work / "reference.json"
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    job = run(
        [python, script, "--groups", folder, "--out", out], log=work / "reference.txt", env=env, cwd=work
    )
    if job.code:
        raise SystemExit(f"the reference packages gave no figures: {job.error}")
    found: list[dict[str, float]] = json.loads(out.read_text())
    return found


def measure(one: Set, work: Path, python: Path, worst: dict[str, float]) -> dict[str, Any]:
    """A line of the table; the largest differences to the references go into `worst`."""
    rule, files = Homogeneity(), [[batches(one.records)]]
    evidence = look(rule, rule.passes()[0], None, files)
    judgement = judge(rule, files)
    assert evidence is not None
    assert judgement is not None
    known = rule.fold(evidence.lazy(), None)
    some = words_of(files[0][0][0])
    groups = list(opened(dict(known or {}), some))
    values = of_groups(judgement.measures)
    theirs = references(work, python, groups, some.key("homogeneity vectors"))
    for group, reference in zip(groups, theirs, strict=True):
        ours = values.get((SIDES[group.side], group.column, group.name), {})
        for name, value in reference.items():
            if name in ours:
                away = abs(ours[name] - value) / max(abs(value), 1e-9)
                worst[name] = max(worst.get(name, 0.0), away)
    times, side, column, name = max(standings(values))
    place = [(SIDES[group.side], group.column, group.name) for group in groups].index((side, column, name))
    own = values[side, column, name]
    found = dict(judgement.findings.filter(column=column, group=name).select("group", "severity").iter_rows())
    return {
        "set": one.name,
        "kind": "flood" if one.flood else "clean",
        "records": one.records.height,
        "most out of line": f"{column} {name}, {side}",
        **{shown: number(own[shown]) if shown in own else "" for shown in SHOWN},
        "vendi, not hashed": number(theirs[place].get("vendi_not_hashed", float("nan"))),
        "times the others": number(times),
        "finding": found.get(name, ""),
        "other findings": judgement.findings.height - len(found),
    }


def of_groups(measures: Any) -> dict[tuple[str, str, str], dict[str, float]]:
    """Measures by name, by side, column and group."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for one in measures:
        name, _, side = one.name.rpartition("_of_")
        if side in SIDES:
            found.setdefault((side, one.column, one.group), {})[name] = one.value
    return found


def standings(
    values: Mapping[tuple[str, str, str], Mapping[str, float]],
) -> Iterator[tuple[float, str, str, str]]:
    """How many times as homogeneous each group is as the others of its column."""
    for (side, column, group), own in values.items():
        kind = [other for place, other in values.items() if place[:2] == (side, column) and place[2] != group]
        stands = standing(own, kind) if column and group else None
        if stands is not None:
            yield stands.most, side, column, group


def main() -> None:
    """Prints the table and the largest differences to the references."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where sets and the environment are kept")
    parser.add_argument("--peers-python", default="", help="an interpreter for the reference packages")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    shared = os.environ.get("DATAGUARD_SHARED")
    if not shared:
        raise SystemExit("DATAGUARD_SHARED names the folder of the shared data sets")
    work = args.work.resolve()
    python = reference_python(work, REFERENCE, args.peers_python)
    worst: dict[str, float] = {}
    rows = [measure(one, work, python, worst) for one in sets(work, Path(shared))]
    show("Homogeneity of clean sets and of floods", rows)
    away = [{"measure": name, "largest relative difference": f"{value:.1g}"} for name, value in worst.items()]
    show("Beside zlib, scipy and vendi-score, over all groups of all sets", away)
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "worst": worst}, indent=1) + "\n")


if __name__ == "__main__":
    main()
