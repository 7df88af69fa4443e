"""Numbers in words round nothing to nothing and nothing up to all."""

from __future__ import annotations

import math

import pytest

from dataguard.report.words import count, limit_words, measure, moment, percent, share, size


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0 %"), (1, "100 %"), (0.0001, "< 0.1 %"), (0.9999, "> 99.9 %"), (0.0613, "6.1 %"), (0.5, "50.0 %")],
)
def test_percent(value, words):
    assert percent(value) == words


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("duplicate_share", 0.0613, "6.13 %"),
        ("duplicate_share", 0.0, "0 %"),
        ("unreadable_files", 2.0, "2"),
        ("rows", 48_210.0, "48,210"),
        ("effective_labels", 1.374, "1.374"),
        ("duplicate_share", math.nan, "could not be measured"),
        ("rows", math.inf, "could not be measured"),
        ("rows", None, "could not be measured"),
    ],
)
def test_measure(name, value, words):
    assert measure(name, value) == words


def test_limits():
    assert limit_words("x_share", None, 0.05) == "at most 5 %"
    assert limit_words("x", 2, 3) == "at least 2 and at most 3"
    assert limit_words("x", None, None) == ""


def test_units():
    assert (count(1, "file"), count(2_000, "file"), count(2, "entry", "entries")) == (
        "1 file",
        "2,000 files",
        "2 entries",
    )
    assert (size(0), size(999), size(1_250_000_000), size(10**21)) == (
        "0 bytes",
        "999 bytes",
        "1.25 GB",
        "1e+06 PB",
    )
    assert (share(1, 0), share(1, 3)) == ("0 %", "33.3 %")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-03-02T09:15:41Z", "2026-03-02 09:15 UTC"),
        ("2026-03-02T01:15:41+02:00", "2026-03-01 23:15 UTC"),
        ("2026-03-02T09:15:41", "2026-03-02T09:15:41"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_moments(text, words):
    assert moment(text) == words
