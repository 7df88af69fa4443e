"""datatrove: its three steps (signatures, buckets, clusters) in local processes, 16 buckets of 8 hashes, its own words."""

from __future__ import annotations

from pathlib import Path
from struct import iter_unpack

import pyarrow.parquet as pq
from common import answer, arguments
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader

BUCKETS = 16


def clusters(files: list[Path], folder: Path) -> list[tuple[int, int]]:
    """Ids and clusters from the pairs (record, cluster) that the last step writes for each file."""
    found = []
    for number, file in enumerate(files):
        written = folder / f"{number:06d}.clusters"
        if written.exists():
            ids = pq.read_table(file, columns=["id"])["id"].to_pylist()
            found += [(ids[record], cluster) for record, cluster in iter_unpack("<2I", written.read_bytes())]
    return found


def main() -> None:
    """From Parquet to clusters."""
    args = arguments(__doc__).parse_args()
    files = sorted(args.data.glob("*.parquet"))
    config = MinhashConfig(num_buckets=BUCKETS, hashes_per_bucket=8)
    folders = [str(args.scratch / name) for name in ("signatures", "buckets", "clusters")]
    reader = ParquetReader(str(args.data), glob_pattern="*.parquet", read_metadata=False)
    steps = [
        ([reader, MinhashDedupSignature(folders[0], config=config)], len(files)),
        ([MinhashDedupBuckets(folders[0], folders[1], config=config)], BUCKETS),
        ([MinhashDedupCluster(folders[1], folders[2], config=config, save_cluster_id=True)], 1),
    ]
    for number, (pipeline, tasks) in enumerate(steps):
        logs = str(args.scratch / f"logs{number}")
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=args.processes, logging_dir=logs).run()
    answer(args.out, clusters(files, Path(folders[2])))


if __name__ == "__main__":
    main()
