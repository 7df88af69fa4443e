"""Patterns of file names, in time linear in the name whatever the pattern: both may be an adversary's."""

from __future__ import annotations

import polars as pl

_WILDCARDS = (("**/", "(?:.*/)?"), ("**", ".*"), ("*", "[^/]*"))


def matches(pattern: str, names: pl.Series) -> pl.Series:
    """Which file names a pattern matches.

    `*` stands for any characters but '/', `**` for any characters, `**/` where a folder's name could begin
    for any folders or none; all else stands for itself. Polars matches with a finite automaton, which never
    goes back.

    Args:
        pattern: for the whole name.
        names: escaped names, relative to the data set's root.

    Returns:
        Booleans, one a name.
    """
    parts, at = [], 0
    while at < len(pattern):
        begins = at == 0 or pattern[at - 1] == "/"
        for wildcard, meaning in _WILDCARDS:
            if pattern.startswith(wildcard, at) and (begins or wildcard != "**/"):
                parts.append(meaning)
                at += len(wildcard)
                break
        else:
            parts.append(pl.escape_regex(pattern[at]))
            at += 1
    return names.str.contains(rf"(?s)\A{''.join(parts)}\z")
