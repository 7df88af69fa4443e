"""Numbers, units and the few fixed names of the report, in words."""

from __future__ import annotations

import math
from datetime import UTC, datetime

SEVERITIES = ("high", "medium", "low", "info")
"""Worst first: the order in which a person reads them."""

CONFIDENCES = ("high", "medium", "low")

FAMILIES = {
    "1": "Copies",
    "2": "Content and poisoning",
    "3": "Balance and bias",
    "4": "Provenance",
    "5": "Tampering and files",
}
"""What a rule's family digit stands for."""

TASKS = {
    "PO.3.3": "evidence of integrity and provenance",
    "PO.4.2": "evidence behind the criteria",
    "PO.4.1": "criteria for checks, and the checks themselves",
    "PO.5.1": "secrets in plain text",
    "PS.1.1": "protection of the data from change",
    "PS.2.1": "means to verify integrity",
    "PS.3.1": "versions and documented preparation",
    "PS.3.2": "provenance to share",
    "PW.3.1": "poisoning, bias, homogeneity and tampering",
    "PW.3.2": "provenance of every record",
    "PW.3.3": "adversarial samples",
    "PW.4.4": "acquired data, verified and scanned",
    "PW.5.1": "validated inputs",
    "PW.8.2": "tests when sources are added",
}
"""Tasks of NIST SP 800-218A, in short."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 file`, `2,000 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: int) -> str:
    """Bytes in decimal units: `1.25 GB`."""
    value, unit = float(number), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{number:,} bytes" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def share(part: float, whole: float) -> str:
    """A share in percent that never rounds something to nothing or less than all to all."""
    if not whole:
        return "0 %"
    return percent(part / whole)


def percent(value: float) -> str:
    """A ratio in percent."""
    if 0 < value < 0.001:
        return "< 0.1 %"
    if 0.999 < value < 1:
        return "> 99.9 %"
    return f"{value:.0%}".replace("%", " %") if value in (0, 1) else f"{value * 100:.1f} %"


def measure(name: str, value: float | None) -> str:
    """A measure's value: shares in percent, whole numbers whole, an absent one said to be absent."""
    if value is None or not math.isfinite(value):
        return "could not be measured"
    if name.endswith("share"):
        return f"{value * 100:.4g} %"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def limit_words(name: str, least: float | None, most: float | None) -> str:
    """What a measure may be: `at most 5 %`; empty where there is no limit."""
    words = [f"at least {measure(name, least)}"] * (least is not None)
    words += [f"at most {measure(name, most)}"] * (most is not None)
    return " and ".join(words)


def moment(text: str) -> str:
    """An ISO time with its zone as `2026-03-02 09:15 UTC`; anything else as it stands."""
    try:
        when = datetime.fromisoformat(text)
        return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when.tzinfo else text
    except (ValueError, OverflowError):
        return text
