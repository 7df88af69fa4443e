"""rensa: full-set R-MinHash, 128 slots in 16 bands of 8, in as many threads as asked for; it flags, it does not cluster.

Its threads make the signatures; the tokens are Python objects and so made in one. Two processes that make and hash the
tokens were slower, as hashes leave it as Python numbers.
"""

from __future__ import annotations

import os

from common import answer, arguments, parts, read, shingles

SLOTS, BANDS, SEED = 128, 16, 42
FLAGGED = -1
"""The cluster of all: rensa says that a record has a near copy, not which."""


def main() -> None:
    """From Parquet to flags."""
    args = arguments(__doc__).parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(args.processes)
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(0.8, SLOTS, BANDS)
    made, at = [], 0
    for part in parts(args.data):
        ids, texts = read(part)
        sets = [shingles(text) for text in texts]
        kept = [one for one, tokens in zip(ids, sets, strict=True) if tokens]
        tokens = [list(tokens) for tokens in sets if tokens]
        matrix = RMinHash.digest_matrix_from_token_byte_sets(tokens, SLOTS, SEED)
        index.insert_matrix(matrix, at)
        made.append((kept, matrix))
        at += len(kept)
    flagged = [
        (one, FLAGGED)
        for ids, matrix in made
        for one, flag in zip(ids, index.query_duplicate_flags_matrix(matrix), strict=True)
        if flag
    ]
    answer(args.out, flagged)


if __name__ == "__main__":
    main()
