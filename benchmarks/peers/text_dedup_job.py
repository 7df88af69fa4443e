"""text-dedup: its own MinHash command on the files, 128 permutations, its bands for 0.8, its quick hash, not verified.

From 0.4.1 on, which needs Python 3.12, it is configured by a file, in which `check_false_positive` would verify every
candidate; before, by a command line. Both read, filter and save the set, as whoever runs it gets.
"""

from __future__ import annotations

import argparse

import pyarrow.parquet as pq
from common import answer, arguments
from text_dedup import minhash


def by_file(args: argparse.Namespace) -> dict[int, int]:
    """0.4.1: the cluster of each clustered record, both as numbers of records."""
    from text_dedup.config.base import load_config_from_toml

    config = args.scratch / "config.toml"
    config.write_text(f"""
[input]
input_type = "local_files"
file_type = "parquet"
[input.read_arguments]
path = "parquet"
data_files = "{args.data}/*.parquet"
split = "train"
cache_dir = "{args.scratch}/cache"
[algorithm]
algorithm_name = "minhash"
text_column = "text"
num_perm = 128
ngram_size = 5
threshold = 0.8
num_proc = {args.processes}
[output]
output_dir = "{args.scratch}/out"
[debug]
enable_profiling = false
""")
    found: dict[int, int] = {}
    save = minhash.save_dataset

    def saving(settings: object, *, final_data: object, clusters: dict[int, int]) -> None:
        found.update(clusters)
        save(settings, final_data=final_data, clusters=clusters)

    minhash.save_dataset = saving
    minhash.main(load_config_from_toml(config))
    return found


def by_command(args: argparse.Namespace) -> dict[int, int]:
    """0.4.0: the same; it keeps its union-find in the module."""
    minhash.main(
        [
            *("--path", "parquet", "--data_files", str(args.data / "*.parquet"), "--split", "train"),
            *("--cache_dir", str(args.scratch / "cache"), "--output", str(args.scratch / "out")),
            *("--column", "text", "--num_perm", "128", "--threshold", "0.8", "--hash_func", "xxh3"),
            *("--num_proc", str(args.processes)),
        ],
        standalone_mode=False,
    )
    return {one: minhash.uf.find(one) for one in list(minhash.uf.parent)}


def main() -> None:
    """From Parquet to clusters."""
    args = arguments(__doc__).parse_args()
    found = by_command(args) if hasattr(minhash, "uf") else by_file(args)
    ids = [
        one
        for file in sorted(args.data.glob("*.parquet"))
        for one in pq.read_table(file, columns=["id"])["id"].to_pylist()
    ]
    answer(args.out, [(ids[one], cluster) for one, cluster in found.items()])


if __name__ == "__main__":
    main()
