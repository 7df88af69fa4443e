"""What the second look is told of a column of vectors: what is usual in it, and what stands out in its sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._vectors import sketch
from dataguard.detectors._vectors.crowds import (
    Sample,
    closeness,
    cosines,
    floods,
    hubs,
    in_floods,
    nearness,
    skew,
)
from dataguard.detectors._vectors.mixed import mixed
from dataguard.detectors._vectors.picture import Mark, pictured
from dataguard.detectors._vectors.shifts import LEAST_SAMPLE, Shift, shifts, whitened

F64 = npt.NDArray[np.float64]
I16 = npt.NDArray[np.int16]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
U64 = npt.NDArray[np.uint64]

UNSOUND, DIMENSION, ZERO, NORM, FLOOD, SHARED, HUB, SHIFT, MIXED = range(9)
"""What a record may be found to be."""
FOLLOWED = 64
"""Keys shared by many vectors that are followed in a column."""
ASKED = 2048
"""Vectors of the sample that others may be hubs of."""
UNLABELLED = 2.5
"""How many times as far a group must stand apart from all records as from those of a label: without labels every template
and every subject does."""
OTHERS = 3
"""Other groups from whose separations it is told how far apart groups of the set are by themselves;"""
FURTHER = 1.5
"""a group that is told must be so many times further than the middle one of these."""
LENGTH = 4000
"""What directions are stretched to before they are rounded: as long as vectors, so that products are exact."""


@dataclass(frozen=True)
class Options:
    """What is out of line; see `EmbeddingOutlier`."""

    flood: int
    share: float
    many: int
    deviations: float
    factor: float
    separation: float

    def least(self, vectors: int) -> int:
        """Nearly identical vectors that are a flood, among so many."""
        return max(self.flood, min(self.many, math.ceil(self.share * vectors)))


@dataclass(frozen=True)
class Learned:
    """What is known of one column after the first look. Products are of whole numbers, so that limits are too.

    Args:
        column: its name.
        dim: the dimension that most of its vectors have.
        counts: i64[6], records, missing, of another dimension, NaN or infinite, zero, and sound ones of `dim`.
        steps: i64[2], the least and the greatest usual step of a norm; see `sketch.norm_steps`.
        norm: the median norm.
        near: how far from one another, as one less the cosine, nearly identical vectors may be.
        flooded: i16[floods, dim], what nearly identical vectors lie around, and
        reach: f64[floods], how far off, as one less the cosine, they may be.
        flood_keys: u64[floods], what each is called by.
        cells: u64[m], keys that many vectors share.
        asked: i16[n, dim], vectors of the sample, and
        radius: i64[n], the product from which on another one is near to each; empty without hubs by cosine.
        hub_keys: u64[m], the hashes of sampled hubs by distance once all directions vary alike; empty without such.
        hub: i64[4], how many are near, to how many a hub is at least, others at most, of how many vectors.
        mixed_keys: u64[m], the hashes of sampled vectors in crowds of mixed labels, and
        mixed_crowds: i64[m], which crowd each is of.
        agreeing: how often a vector of the sample carries its neighbours' label, on average; NaN without labels.
        along: i16[shifts, dim], directions along which a group of a label stands apart, and
        cut: i64[shifts], the product from which on a record is of the group, times its `sketch.weights`.
        labels: of these, empty for none.
        apart: f64[shifts, 3], separation, gap and spread.
        separations: labels and
        separation: f64[labels], how far apart the group of each is that is furthest.
        picture: i64[cells, 5], where the sample and what stands out in it lie, and
        components: f64[2], the shares of the variance that are seen there, see `picture.pictured`; empty where nothing
            stands out.
        skewness: of k-occurrence in the sample.
        sampled: vectors in the sample.
    """

    column: str
    dim: int
    counts: I64
    steps: I64
    norm: float
    near: float
    flooded: I16
    reach: F64
    flood_keys: U64
    cells: U64
    asked: I16
    radius: I64
    hub_keys: U64
    hub: I64
    mixed_keys: U64
    mixed_crowds: I64
    agreeing: float
    along: I16
    cut: I64
    labels: list[str]
    apart: F64
    separations: list[str]
    separation: F64
    picture: I64
    components: F64
    skewness: float
    sampled: int

    def to_arrays(self, prefix: str) -> dict[str, Any]:
        """As named arrays, numbers, strings and lists."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], number: int) -> Learned:
        """What `to_arrays` gave."""
        return cls(**{field.name: _plain(arrays[f"{number} {field.name}"]) for field in fields(cls)})


def _plain(value: Any) -> Any:
    """Lists and numbers as they were before they were kept."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "US":
        return value.tolist()
    return value


def learned(evidence: pl.DataFrame, options: Options) -> list[Learned]:
    """What there is to be known of each column, from all evidence of the first look."""
    columns = evidence.filter(what=sketch.RECORDS)["column"].unique().sort().to_list()
    return [_of_column(name, evidence.filter(column=name), options) for name in columns]


def _of_column(name: str, seen: pl.DataFrame, options: Options) -> Learned:
    def count(what: int, *where: pl.Expr) -> int:
        return int(seen.filter(pl.col("what") == what, *where)["n"].sum())

    dims = seen.filter(pl.col("what") == sketch.RECORDS, pl.col("dim") > 0)
    sizes = dims.group_by("dim").agg(pl.col("n").sum()).sort("n", "dim", descending=[True, False])
    dim = int(sizes["dim"][0]) if len(sizes) else 0
    own = pl.col("dim") == dim
    records, missing = count(sketch.RECORDS), count(sketch.RECORDS, pl.col("dim") == 0)
    sound = count(sketch.RECORDS, own) - count(sketch.UNSOUND, own) - count(sketch.ZERO, own) if dim else 0
    other = records - missing - (count(sketch.RECORDS, own) if dim else 0)
    counts = np.array([records, missing, other, count(sketch.UNSOUND), count(sketch.ZERO), sound])
    steps, norm = _usual(seen.filter(pl.col("what") == sketch.NORM, own), options)
    sampled = sketch.smallest(seen.filter(pl.col("what") == sketch.SAMPLED)).filter(own)
    cells = seen.filter(pl.col("what") == sketch.CELL, own, pl.col("n") >= options.least(sound))
    shared = cells.sort("n", "key", descending=[True, False])["key"].head(FOLLOWED).to_numpy()
    return Learned(
        name, dim, counts, steps, norm, cells=shared.astype(np.uint64),
        **_of_sample(sampled, dim, (sound, steps), options),
    )  # fmt: skip


def _usual(norms: pl.DataFrame, options: Options) -> tuple[I64, float]:
    """The least and the greatest usual step, and the median norm."""
    counted = norms.group_by("norm").agg(pl.col("n").sum()).sort("norm")
    if counted.is_empty():
        return np.zeros(2, np.int64), 0.0
    steps, until = counted["norm"].to_numpy(), counted["n"].cum_sum().to_numpy()
    middle = steps[np.searchsorted(until, until[-1] / 2)]
    apart, weight = np.abs(steps - middle), counted["n"].to_numpy()
    order = np.argsort(apart, kind="stable")
    deviation = 1.4826 * apart[order][np.searchsorted(np.cumsum(weight[order]), until[-1] / 2)]
    reach = math.ceil(max(options.deviations * deviation, math.log2(options.factor) * sketch.STEPS))
    return np.array([middle - reach, middle + reach]), float(2.0 ** (middle / sketch.STEPS))


def _of_sample(sampled: pl.DataFrame, dim: int, usual: tuple[int, I64], options: Options) -> dict[str, Any]:
    """What is told of the sample; `usual` are how many sound vectors there are and the usual steps of their norms."""
    from dataguard.kernels.units import SCALE

    sound, steps = usual
    units = np.frombuffer(b"".join(sampled["units"].to_list()), np.int16).reshape(len(sampled), dim)
    single = sampled.with_row_index("at").group_by("key", maintain_order=True)
    copies = single.agg(pl.col("n").sum(), pl.col("at").first())
    first = copies["at"].to_numpy()
    sample = Sample(
        units[first].astype(np.float32), copies["n"].to_numpy().astype(np.int64), copies["key"].to_numpy()
    )
    products = cosines(sample.units)
    near = nearness(products, SCALE)
    share = sample.copies.sum() / max(1, sound)
    crowds = floods(sample, products, near, max(3.0, options.least(sound) * share / 2), SCALE) if dim else []
    lengths = sketch.weights(sampled["norm"].to_numpy(), steps)[:, None] / sketch.WEIGHT
    vectors = units * lengths
    apart = list(shifts(vectors.astype(np.float32), sampled["label"].to_list())) if dim else []
    out = _out(apart, options)
    furthest: dict[str, float] = {}
    for shift in apart:  # of each label the first is the furthest
        furthest.setdefault(shift.label or "", shift.separation)
    hubs_told, members = _hubs(sample, products, units[first])
    flooded = _rounded([flood.centre for flood in crowds], dim)[0]
    reach = np.array([flood.reach for flood in crowds])
    marks = [(FLOOD, number, its) for number, its in enumerate(in_floods(units, flooded, reach).T)]
    marks += [(HUB, 0, np.isin(sampled["key"].to_numpy(), members))]
    crowded, agreeing = mixed(products, sampled["label"].gather(first).to_list())
    mixed_keys = [sample.keys[its] for its in crowded]
    marks += [(MIXED, at, np.isin(sampled["key"].to_numpy(), its)) for at, its in enumerate(mixed_keys)]
    marks += [(SHIFT, number, shift.members) for number, shift in enumerate(out)]
    return {
        "near": near,
        "flooded": flooded,
        "reach": reach,
        "flood_keys": np.array([flood.key for flood in crowds], np.uint64),
        **hubs_told,
        "mixed_keys": np.concatenate([sample.keys[:0], *mixed_keys]),
        "mixed_crowds": np.repeat(np.arange(len(mixed_keys)), [len(its) for its in mixed_keys]),
        "agreeing": agreeing,
        **_shifts(out, dim),
        **_picture(vectors, sampled["n"].to_numpy().astype(np.int64), marks, out),
        "separations": list(furthest),
        "separation": np.array(list(furthest.values())),
        "skewness": skew(products),
        "sampled": len(sampled),
    }


def _picture(vectors: F64, copies: I64, marks: list[Mark], out: list[Shift]) -> dict[str, Any]:
    held = [mark for mark in marks if mark[2].any()]
    if not held:
        return {"picture": np.empty((0, 5), np.int64), "components": np.empty(0)}
    furthest = max(out, key=lambda shift: shift.separation, default=None)
    cells, shares = pictured(vectors, copies, held, furthest.direction if furthest else None)
    return {"picture": cells, "components": shares}


def _out(apart: list[Shift], options: Options) -> list[Shift]:
    """The groups that stand further apart than those of the set do by themselves."""
    separations = np.array([one.separation for one in apart])
    kept = []
    for place, one in enumerate(apart):
        others = np.delete(separations, place)
        usual = float(np.median(others)) if len(others) >= OTHERS else 0.0
        least = options.separation * (1 if one.label else UNLABELLED)
        if one.separation >= max(least, FURTHER * usual):
            kept.append(one)
    return kept


def _rounded(vectors: list[F64], dim: int) -> tuple[I16, F64]:
    """Vectors as whole numbers of one length, and how much each was stretched."""
    if not vectors:
        return np.empty((0, dim), np.int16), np.empty(0)
    stacked = np.stack(vectors)
    factor = LENGTH / np.maximum(np.linalg.norm(stacked, axis=1), 1e-300)
    return np.rint(stacked * factor[:, None]).astype(np.int16), factor


def _hubs(sample: Sample, products: F32, units: I16) -> tuple[dict[str, Any], U64]:
    """By cosine, as those see it who search; else by distance once all directions vary alike. And the hashes of those found.

    In few dimensions, or where few of many vary, a hub by cosine is no more than others are; among directions that vary
    alike whatever is more in the middle than records are is a hub. Those are told by their hashes, of the sample alone.
    """
    none: dict[str, Any] = {
        "asked": units[:0],
        "radius": np.empty(0, np.int64),
        "hub_keys": np.empty(0, np.uint64),
    }
    hub = hubs(products)
    if hub is not None:
        asked = min(ASKED, len(units))
        least, usual = (math.ceil(number * asked / len(units)) for number in (hub.least, hub.usual))
        found = {"asked": units[:asked], "radius": hub.radius[:asked].astype(np.int64)}
        return {**none, **found, "hub": np.array([hub.k, least, usual, asked])}, sample.keys[hub.members]
    if len(units) >= LEAST_SAMPLE:
        white = whitened(sample.units.astype(np.float64), np.zeros(len(units), np.int64), 1)
        hub = hubs(closeness(white.values))
    if hub is None:
        return {**none, "hub": np.zeros(4, np.int64)}, sample.keys[:0]
    told = np.array([hub.k, hub.least, hub.usual, len(units)])
    return {**none, "hub_keys": sample.keys[hub.members], "hub": told}, sample.keys[hub.members]


def _shifts(found: list[Shift], dim: int) -> dict[str, Any]:
    along, factor = _rounded([shift.direction for shift in found], dim)
    return {
        "along": along,
        "cut": np.ceil(np.array([shift.least for shift in found]) * factor * sketch.WEIGHT).astype(np.int64),
        "labels": [shift.label or "" for shift in found],
        "apart": np.array([[shift.separation, shift.gap, shift.spread] for shift in found]).reshape(-1, 3),
    }
