"""Candidate pairs from equal keys, their exact Jaccard, and the groups that verified pairs make.

Everything goes by the documents' content: neither their order nor how they were cut into files or batches
changes which pairs are compared. Equal documents are one here; whoever calls keeps their addresses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.shingles import WIDTH, overlap, shingle_set

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

ALL_PAIRS = 16
"""Documents under one key up to which each is compared with each."""
NEIGHBOURS = 2
"""In larger groups each is compared with so many before and behind it, in an order that puts like next to like."""
MANY = 64
"""In still larger ones with one: where a template fills a set, what is compared must not grow with the bands."""


def candidates(key: U64, after: U64, text: U64, place: U64, *, fresh: int) -> I64:
    """Pairs of documents that share a key, at least one of each pair new.

    Args:
        key: u64[n], equal for documents that may be alike.
        after: u64[n], a second key: documents of a large group that share it stand side by side.
        text: u64[n], the hash of the whole; equal ones are taken as one document.
        place: u64[n], of equal ones the smallest stands for all.
        fresh: documents whose place is below this are new.

    Returns:
        i64[pairs, 2], numbers of documents, the one with the smaller hash first. Their number is linear in n.
    """
    bound = np.uint64(fresh)
    chains = _chains(frozen(key), frozen(place), bound)
    return _pairs(*chains, frozen(after), frozen(text), frozen(place), bound)


@compiled
def _chains(key: U64, place: U64, fresh: np.uint64) -> tuple[I64, I64, I64]:
    """Chains of documents with equal keys, those aside that may hold no new one.

    Most keys stand alone. Two bits for each of many slots tell most of these apart before the table is made, and
    fit into the processor's cache where the table does not.

    Returns:
        Documents that may share a key; chains of them, each by the last of its members; and the member before
        each, or -1. Members are numbers into the first.
    """
    bits = 10
    while (1 << bits) < 16 * len(key):
        bits += 1
    shift = np.uint64(64 - bits)
    once = np.zeros(1 << (bits - 6), np.uint64)
    twice = np.zeros(1 << (bits - 6), np.uint64)
    for document in range(len(key)):
        slot = key[document] >> shift  # keys are well mixed, and made with a secret
        bit = np.uint64(1) << (slot & np.uint64(63))
        if place[document] < fresh:
            twice[slot >> np.uint64(6)] |= once[slot >> np.uint64(6)] & bit
            once[slot >> np.uint64(6)] |= bit
    for document in range(len(key)):
        slot = key[document] >> shift
        if place[document] >= fresh:
            twice[slot >> np.uint64(6)] |= once[slot >> np.uint64(6)] & (
                np.uint64(1) << (slot & np.uint64(63))
            )
    members = np.empty(len(key), np.int64)
    count = 0
    for document in range(len(key)):
        slot = key[document] >> shift
        members[count] = document
        count += int((twice[slot >> np.uint64(6)] >> (slot & np.uint64(63))) & np.uint64(1))
    members = members[:count].copy()
    lasts, before = _chained(key, members)
    return members, lasts, before


@compiled
def _chained(key: U64, members: I64) -> tuple[I64, I64]:
    bits = 4
    while (1 << bits) < 2 * len(members):
        bits += 1
    mask = np.uint64((1 << bits) - 1)
    table = np.full(1 << bits, -1, np.int64)
    before = np.empty(len(members), np.int64)
    for member in range(len(members)):
        value = key[members[member]]
        slot = value & mask
        while table[slot] >= 0 and key[members[table[slot]]] != value:
            slot = (slot + np.uint64(1)) & mask
        before[member] = table[slot]
        table[slot] = member
    lasts = np.empty(len(members), np.int64)
    count = 0
    for slot in range(len(table)):
        if table[slot] >= 0 and before[table[slot]] >= 0:
            lasts[count] = table[slot]
            count += 1
    return lasts[:count].copy(), before


@compiled
def _less(a: int, b: int, after: U64, text: U64, place: U64) -> bool:
    if after[a] != after[b]:
        return bool(after[a] < after[b])
    if text[a] != text[b]:
        return bool(text[a] < text[b])
    return bool(place[a] < place[b])


@compiled
def _sort_group(group: I64, size: int, after: U64, text: U64, place: U64) -> None:
    """Shell sort: in place, and fast enough for the few large groups there are."""
    gap = 1
    while gap < size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, size):
            one = group[i]
            j = i
            while j >= gap and _less(one, group[j - gap], after, text, place):
                group[j] = group[j - gap]
                j -= gap
            group[j] = one
        gap //= 3


@compiled
def _pairs(members: I64, lasts: I64, before: I64, after: U64, text: U64, place: U64, fresh: np.uint64) -> I64:
    out = np.empty((max(16, 2 * len(lasts)), 2), np.int64)
    group = np.empty(64, np.int64)
    count = 0
    for last in lasts:
        size = 0
        member = last
        while member >= 0:
            if size == len(group):
                larger = np.empty(2 * size, np.int64)
                larger[:size] = group
                group = larger
            group[size] = members[member]
            size += 1
            member = before[member]
        _sort_group(group, size, after, text, place)
        distinct = 1
        for i in range(1, size):
            if text[group[i]] != text[group[distinct - 1]]:
                group[distinct] = group[i]
                distinct += 1
        reach = distinct - 1
        if distinct > ALL_PAIRS:
            reach = NEIGHBOURS if distinct <= MANY else 1
        for i in range(distinct):
            for j in range(i + 1, min(i + reach, distinct - 1) + 1):
                if count == len(out):
                    more = np.empty((2 * count, 2), np.int64)
                    more[:count] = out
                    out = more
                one, other = group[i], group[j]
                if min(place[one], place[other]) >= fresh:
                    continue
                swap = text[other] < text[one]
                out[count, 0] = other if swap else one
                out[count, 1] = one if swap else other
                count += 1
    return out[:count].copy()


def distinct(a: U64, b: U64) -> tuple[I64, I64]:
    """Each pair once.

    Args:
        a: u64[n].
        b: u64[n].

    Returns:
        Where each pair stands first, i64[m], in this order; and how often it is there, i64[m].
    """
    return _distinct(frozen(a), frozen(b))


@compiled
def _distinct(a: U64, b: U64) -> tuple[I64, I64]:
    bits = 4
    while (1 << bits) < 2 * len(a):
        bits += 1
    mask = np.uint64((1 << bits) - 1)
    table = np.full(1 << bits, -1, np.int64)
    first = np.empty(len(a), np.int64)
    count = np.empty(len(a), np.int64)
    found = 0
    for pair in range(len(a)):
        slot = (a[pair] ^ (b[pair] << np.uint64(1))) & mask  # hashes of texts: mixed, and made with a secret
        while table[slot] >= 0:
            same = first[table[slot]]
            if a[same] == a[pair] and b[same] == b[pair]:
                break
            slot = (slot + np.uint64(1)) & mask
        if table[slot] < 0:
            table[slot] = found
            first[found], count[found] = pair, 0
            found += 1
        count[table[slot]] += 1
    return first[:found].copy(), count[:found].copy()


def positions(texts: U64, wanted: U64) -> I64:
    """Where hashes stand among others.

    Args:
        texts: u64[n], distinct hashes, ascending.
        wanted: u64[m], each one of them.

    Returns:
        i64[m]. Hashes are spread evenly, so a guess by proportion is a few steps off.
    """
    return _positions(frozen(texts), frozen(wanted))


@compiled
def _positions(texts: U64, wanted: U64) -> I64:
    out = np.empty(len(wanted), np.int64)
    size = np.uint64(len(texts))
    for index in range(len(wanted)):
        value = wanted[index]
        place = ((value >> np.uint64(32)) * size) >> np.uint64(32)
        while place > np.uint64(0) and texts[place] > value:
            place -= np.uint64(1)
        while texts[place] < value:
            place += np.uint64(1)
        out[index] = np.int64(place)
    return out


def copies(text: U64, place: U64, *, fresh: int) -> I64:
    """Numbers of the documents that another one equals, in no order; at least one of the equals is new.

    Args:
        text: u64[n], the hash of the whole.
        place: u64[n].
        fresh: documents whose place is below this are new.
    """
    bound = np.uint64(fresh)
    return _members(*_chains(frozen(text), frozen(place), bound), frozen(place), bound)


@compiled
def _members(members: I64, lasts: I64, before: I64, place: U64, fresh: np.uint64) -> I64:
    out = np.empty(len(members), np.int64)
    count = 0
    for last in lasts:
        begun, new = count, False
        member = last
        while member >= 0:
            out[count] = members[member]
            count += 1
            new = new or place[members[member]] < fresh
            member = before[member]
        if not new:  # its key only shares a slot with that of a new one
            count = begun
    return out[:count].copy()


def components(left: I64, right: I64, size: int) -> I64:
    """The smallest document of each document's component.

    Args:
        left: i64[pairs].
        right: i64[pairs].
        size: how many documents there are.

    Returns:
        i64[size].
    """
    return _components(frozen(left), frozen(right), size)


@compiled
def _find(parent: I64, one: int) -> int:
    while parent[one] != one:
        parent[one] = parent[parent[one]]
        one = parent[one]
    return one


@compiled
def _components(left: I64, right: I64, size: int) -> I64:
    parent = np.arange(size)
    for pair in range(len(left)):
        a, b = _find(parent, left[pair]), _find(parent, right[pair])
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    for one in range(size):
        parent[one] = _find(parent, one)
    return parent


class Verified(NamedTuple):
    """Pairs whose Jaccard was computed and reaches the threshold.

    Attributes:
        pair: i64, numbers of the pairs.
        jaccard: f64, of their sets of shingles.
        prefix: i64, how many words both begin with.
        suffix: i64, how many words both end with, none counted twice.
    """

    pair: I64
    jaccard: F64
    prefix: I64
    suffix: I64


def verify(ids: U32, ends: I64, pairs: I64, salt: int, threshold: float) -> Verified:
    """The exact Jaccard of pairs, in the order given; pairs that earlier ones have joined are passed over.

    Args:
        ids: u32[T], words of documents under one another.
        ends: i64[n], the end of each document's words; it starts where the one before it ends.
        pairs: i64[pairs, 2], numbers of documents.
        salt: of the hashes of shingles.
        threshold: the least Jaccard.
    """
    sets = np.empty(max(0, int(ends[-1])) if len(ends) else 0, np.uint32)
    sizes = np.empty(len(ends), np.int64)
    _sets(frozen(ids), frozen(ends), np.uint64(salt), sets, sizes)
    return Verified(*_verify(frozen(ids), frozen(ends), sets, sizes, frozen(pairs), threshold))


@compiled
def _sets(ids: U32, ends: I64, salt: np.uint64, sets: U32, sizes: I64) -> None:
    start = 0
    for document in range(len(ends)):
        end = int(ends[document])
        sizes[document] = shingle_set(ids, start, end, salt, sets[start:end])
        start = end


@compiled
def _verify(
    ids: U32, ends: I64, sets: U32, sizes: I64, pairs: I64, threshold: float
) -> tuple[I64, F64, I64, I64]:
    parent = np.arange(len(ends))
    found = np.empty(len(ends), np.int64)  # each joins two groups, so there are fewer than documents
    jaccard = np.empty(len(ends), np.float64)
    prefix = np.empty(len(ends), np.int64)
    suffix = np.empty(len(ends), np.int64)
    count = 0
    for pair in range(len(pairs)):
        a, b = pairs[pair, 0], pairs[pair, 1]
        root_a, root_b = _find(parent, a), _find(parent, b)
        few, many = min(sizes[a], sizes[b]), max(sizes[a], sizes[b])
        if root_a == root_b or few < threshold * many:
            continue
        start_a = ends[a - 1] if a else 0
        start_b = ends[b - 1] if b else 0
        needed = int(threshold / (1 + threshold) * (few + many)) - 1
        both = overlap(sets[start_a : start_a + sizes[a]], sets[start_b : start_b + sizes[b]], needed)
        share = both / (few + many - both)
        if share >= threshold:
            parent[max(root_a, root_b)] = min(root_a, root_b)
            found[count], jaccard[count] = pair, share
            prefix[count], suffix[count] = _alike(ids[start_a : ends[a]], ids[start_b : ends[b]])
            count += 1
    return found[:count].copy(), jaccard[:count].copy(), prefix[:count].copy(), suffix[:count].copy()


@compiled
def _alike(a: U32, b: U32) -> tuple[int, int]:
    """How many words two documents begin and end with together."""
    size = min(len(a), len(b))
    prefix = 0
    while prefix < size and a[prefix] == b[prefix]:
        prefix += 1
    suffix = 0
    while suffix < size - prefix and a[len(a) - 1 - suffix] == b[len(b) - 1 - suffix]:
        suffix += 1
    return prefix, suffix


def warm() -> None:
    """Compiles the kernels of this module."""
    key = np.zeros(2, np.uint64)
    text = np.arange(2, dtype=np.uint64)
    pairs = candidates(key, key, text, text, fresh=2)
    copies(key, text, fresh=2)
    distinct(key, text)
    positions(text, text)
    components(pairs[:, 0].copy(), pairs[:, 1].copy(), 2)
    ids = np.zeros(2 * WIDTH, np.uint32)
    verify(ids, np.array([WIDTH, 2 * WIDTH]), pairs, 0, 0.8)
