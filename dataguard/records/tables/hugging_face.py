"""Data sets of Hugging Face's `datasets`: a folder that `save_to_disk` wrote, or the cache of a builder.

Both are Arrow streams beside a little JSON, so nothing but our own reader of Arrow is needed. A folder as it lies on the
hub is plain files, of which nothing is left out, and no table.
"""

from __future__ import annotations

from dataguard.errors import ReadError
from dataguard.records.tables.base import Claim, Papers, Snapshot, has, listed
from dataguard.safe_text import safe_text, unescape_name

STATE, INFO, CACHED = "state.json", "dataset_info.json", "cache-"
"""The list of files, what there is to know of a data set, and how files begin that `map` and the like left in a cache."""


def snapshot(papers: Papers) -> Snapshot:
    """The data files of a data set.

    Raises:
        ReadError: its list of files is broken, or names what is not done here.
    """
    there = dict(papers.below())
    return _saved(papers, there[STATE]) if STATE in there else _cached(papers, there)


def _saved(papers: Papers, name: str) -> Snapshot:
    state = papers.json(name)
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise ReadError(
            "its records are chosen by a file of indices, which is not applied here: save it anew"
        )
    files: dict[str, Claim] = {}
    for one in has(state.get("_data_files"), list, "_data_files"):
        path = has(has(one, dict, "a data file").get("filename"), str, "filename")
        if "/" in path:
            raise ReadError(f"“{safe_text(path, limit=120)}” is no file right in the folder: not followed")
        listed(files, papers.name_of(path, "the file"), Claim())
    if not files:
        raise ReadError("its list of files is empty")
    return Snapshot(f"fingerprint {safe_text(state.get('_fingerprint'), limit=40)}", files, "arrow")


def _cached(papers: Papers, there: dict[str, str]) -> Snapshot:
    """The files of a builder's cache: all that is Arrow but what later steps left there."""
    info = papers.json(there[INFO])
    files = {
        name: Claim()
        for last, name in there.items()
        if last.endswith(".arrow") and not unescape_name(last).startswith(CACHED.encode())
    }
    if not files:
        raise ReadError("no Arrow file lies beside its description")
    version = has(info.get("version") or {}, dict, "version").get("version_str")
    return Snapshot(f"version {safe_text(version, limit=40)}", files, "arrow")
