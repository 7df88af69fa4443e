"""The peers: what each needs, its environment, and one run of it."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from jobs import HERE, Bench, Job, run


@dataclass(frozen=True)
class Peer:
    """A tool to compare with.

    Args:
        setting: what the table says beside its name.
        distribution: its name as a package, and that of its environment.
        packages: what is installed there, pinned.
        job: the script in `peers/` and its arguments.
        parallel: what of it runs in parallel.
        slow: measured once, on a fraction.
        flags: it says which records have a copy, not which belong together.
    """

    setting: str
    distribution: str
    packages: tuple[str, ...]
    job: tuple[str, ...]
    parallel: str
    slow: bool = False
    flags: bool = False


_DATASKETCH = ("datasketch==2.0.0", "xxhash==4.1.0", "pyarrow==26.0.1")
PEERS = {
    "datasketch": Peer(
        "fastest path",
        "datasketch",
        _DATASKETCH,
        ("datasketch_job.py", "--way", "fastest"),
        "signatures: processes; index: one",
    ),
    "datasketch-default": Peer(
        "default",
        "datasketch",
        _DATASKETCH,
        ("datasketch_job.py", "--way", "default"),
        "signatures: processes; index: one",
    ),
    "rensa": Peer(
        "full set, 16 × 8",
        "rensa",
        ("rensa==0.5.0", "pyarrow==26.0.1"),
        ("rensa_job.py",),
        "signatures: threads; tokens: one",
        flags=True,
    ),
    "text-dedup": Peer(
        "xxh3, not verified",
        "text-dedup",
        (
            "text-dedup==0.4.1; python_version >= '3.12'",
            "text-dedup==0.4.0; python_version < '3.12'",
            "datasets==5.2.0",
            "pyarrow==26.0.1",
        ),
        ("text_dedup_job.py",),
        "all but clustering: processes",
        slow=True,
    ),
    "datatrove": Peer(
        "16 × 8",
        "datatrove",
        ("datatrove[processing]==0.10.1", "spacy==3.8.18", "pyarrow==26.0.1", "orjson"),
        ("datatrove_job.py",),
        "all but clustering: processes",
        slow=True,
    ),
}


def python_of(bench: Bench, peer: Peer) -> Path:
    """The interpreter of a peer's environment."""
    return bench.work / "venvs" / peer.distribution / "bin" / "python"


def reference_python(work: Path, peer: Peer, peers_python: str) -> Path:
    """The interpreter of an environment with the packages that our measures are held against.

    Raises:
        SystemExit: they do not install.
    """
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(work, 1, 1, "", 1.0, (), peers_python, 1.0, "")
    if error := install(bench, peer):
        raise SystemExit(f"the reference packages do not install: {error}")
    return python_of(bench, peer)


def install(bench: Bench, peer: Peer) -> str:
    """Makes a peer's environment, if it is not there.

    Returns:
        Why it could not be made: the last line of what the installer said; empty if it stands.
    """
    folder = bench.work / "venvs" / peer.distribution
    done = folder / "installed"
    wanted = "\n".join(peer.packages)
    if done.exists() and done.read_text() == wanted:
        return ""
    shutil.rmtree(folder, ignore_errors=True)
    log = bench.work / "logs" / f"install-{peer.distribution}.txt"
    commands = (
        [bench.peers_python or sys.executable, "-m", "venv", folder],
        [python_of(bench, peer), "-m", "pip", "install", "--quiet", *peer.packages],
    )
    for command in commands:
        job = run(command, log=log, env=bench.environment(), cwd=bench.work)
        if job.code:
            return job.error
    done.write_text(wanted)
    return ""


def title(bench: Bench, peer: Peer) -> str:
    """A peer's name, version and setting."""
    script = f"import importlib.metadata as m; print(m.version({peer.distribution!r}))"
    log = bench.work / "logs" / f"version-{peer.distribution}.txt"
    try:
        job = run([python_of(bench, peer), "-c", script], log=log, env=bench.environment(), cwd=bench.work)
    except OSError:
        return f"{peer.distribution}, {peer.setting}"
    version = "" if job.code else f" {job.error}"
    return f"{peer.distribution}{version}, {peer.setting}"


def measure(bench: Bench, name: str, data: Path) -> tuple[Job, pl.DataFrame]:
    """One run of a peer, from the start of its process to its answer on the disk.

    Returns:
        The process, and id and cluster of each record in its answer; empty if it failed.
    """
    peer = PEERS[name]
    scratch, out = bench.work / "scratch", bench.work / "answers" / f"{name}.parquet"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    out.parent.mkdir(exist_ok=True)
    out.unlink(missing_ok=True)
    script, *more = peer.job
    command: list[str | Path] = [
        python_of(bench, peer),
        HERE / "peers" / script,
        "--data",
        data,
        "--out",
        out,
    ]
    command += ["--scratch", scratch, "--processes", str(bench.workers), *more]
    env = bench.environment(HF_HOME=str(scratch / "hf"), HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    job = run(command, log=bench.work / "logs" / f"{name}.txt", env=env, cwd=scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    empty = pl.DataFrame(schema={"id": pl.Int64, "cluster": pl.Int64})
    return job, pl.read_parquet(out) if job.code == 0 and out.exists() else empty
