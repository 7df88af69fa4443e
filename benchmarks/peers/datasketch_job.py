"""datasketch: signatures in as many processes as asked for, one MinHashLSH index in the parent, clusters from it.

Both ways have 128 permutations in the scheme `affine32` and the bands that datasketch takes to be best for a
threshold of 0.8; neither verifies a pair.

`--way fastest`: a quick hash function, `MinHash.bulk`, and clusters from the members of each bucket, without a query.
`--way default`: what its documentation shows: SHA-1, `update` for each token, `insert` and `query` for each record.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from multiprocessing import Pool

import numpy as np
from common import Clusters, answer, arguments, parts, read, shingles
from datasketch import LeanMinHash, MinHash, MinHashLSH

PERMUTATIONS = 128
THRESHOLD = 0.8


def sketch(way: str, part: tuple[str, int]) -> tuple[list[int], np.ndarray]:
    """Ids and signatures (u32, n × 128) of a row group; records without a shingle are left out."""
    ids, texts = read(part)
    sets = [shingles(text) for text in texts]
    kept = [one for one, tokens in zip(ids, sets, strict=True) if tokens]
    made = _bulk(sets) if way == "fastest" else _one_by_one(sets)
    return kept, np.array([one.hashvalues for one in made], dtype=np.uint32).reshape(-1, PERMUTATIONS)


def _bulk(sets: list[set[bytes]]) -> Iterator[MinHash]:
    from xxhash import xxh3_64_intdigest

    return MinHash.generator(
        (tokens for tokens in sets if tokens),
        num_perm=PERMUTATIONS,
        hashfunc=lambda token: xxh3_64_intdigest(token) & 0xFFFFFFFF,
    )


def _one_by_one(sets: list[set[bytes]]) -> Iterator[MinHash]:
    for tokens in sets:
        if tokens:
            made = MinHash(num_perm=PERMUTATIONS)
            for token in tokens:
                made.update(token)
            yield made


def main() -> None:
    """From Parquet to clusters."""
    parser = arguments(__doc__)
    parser.add_argument("--way", choices=("fastest", "default"), default="fastest")
    args = parser.parse_args()
    index, clusters = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), Clusters()
    with Pool(args.processes) as pool:
        for ids, signatures in pool.imap_unordered(partial(sketch, args.way), parts(args.data)):
            for one, signature in zip(ids, signatures, strict=True):
                lean = LeanMinHash(seed=1, hashvalues=signature, scheme="affine32")
                if args.way == "default" and (near := index.query(lean)):
                    clusters.join([one, *near])
                index.insert(one, lean, check_duplication=args.way == "default")
    if args.way == "fastest":
        for table in index.hashtables:
            for key in table.keys():  # noqa: SIM118  # a storage, no dict
                members = table.get(key)
                if len(members) > 1:
                    clusters.join(members)
    answer(args.out, clusters.pairs())


if __name__ == "__main__":
    main()
