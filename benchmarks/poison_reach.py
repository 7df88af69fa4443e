"""What issue 4 asks of the screens for poison, beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poison_score import bootstrap

Row = dict[str, Any]
Measure = Callable[[Row], float]


def _top(last: int) -> Measure:
    return lambda view: float(view["rank"] is not None and view["rank"] <= last)


def _recall(view: Row) -> float:
    return float(view["recall"])


def _records(view: Row) -> float:
    return float(view["records"])


def _clean(view: Row) -> float:
    return -float(view["clean"])


@dataclass(frozen=True)
class Asked:
    """A line of what is asked.

    Args:
        what: in words.
        names: attacks, by the first part of their names.
        rates: from, to.
        measure: of a seed; higher is better.
        least: its mean must reach.
        pooled: over all runs; else over the seeds of each attack and rate, the worst of which counts.
    """

    what: str
    names: tuple[str, ...]
    rates: tuple[float, float]
    measure: Measure
    least: float
    pooled: bool = False


_TRIGGERS = ("badnet", "vpi", "sleeper")
_LOW, _HIGH = (0.001, 0.001), (0.005, 1.0)
ASKED = (
    Asked("1 triggers at 0.1 %: share in the top 3", _TRIGGERS, _LOW, _top(3), 0.95, pooled=True),
    Asked("1 triggers at 0.1 %: recall", _TRIGGERS, _LOW, _recall, 0.99),
    Asked("1 triggers at ≥ 0.5 %: share in the top 1", _TRIGGERS, _HIGH, _top(1), 1.0),
    Asked("1 triggers at ≥ 0.5 %: recall", _TRIGGERS, _HIGH, _recall, 0.99),
    Asked("2 several triggers at 0.1 %: recall", ("multi",), _LOW, _recall, 0.7),
    Asked("2 several triggers at ≥ 0.5 %: recall", ("multi",), _HIGH, _recall, 0.98),
    Asked("2 address, brand at 0.1 %: share in the top 5", ("url", "brand"), _LOW, _top(5), 1.0),
    Asked("2 gibberish at 0.1 %: records within the budget", ("gibberish",), _LOW, _records, 1.0),
    Asked("2 gibberish at 0.1 %: clean records before", ("gibberish",), _LOW, _clean, -0.005),
    Asked("3 labelled text at ≥ 0.5 %: recall", ("badnets", "addsent"), _HIGH, _recall, 0.95),
    Asked("4 styles at 5 %: recall", ("bible", "tweets", "lyrics"), (0.05, 0.05), _recall, 0.5),
)


def reached(groups: Mapping[tuple[str, float], Sequence[Row]]) -> list[Row]:
    """A row for each line that was measured.

    Args:
        groups: by attack and rate, the view of each seed.
    """
    rows = []
    for asked in ASKED:
        values = {
            (name, rate): [asked.measure(view) for view in views]
            for (name, rate), views in groups.items()
            if name.split("/")[0] in asked.names and asked.rates[0] <= rate <= asked.rates[1]
        }
        if not values:
            continue
        every = [value for part in values.values() for value in part]
        means = {key: sum(part) / len(part) for key, part in values.items()}
        worst = min(means, key=lambda key: means[key])
        low, high = sorted(abs(bound) for bound in bootstrap(every))
        mean = sum(every) / len(every)
        counts = mean if asked.pooled else means[worst]
        rows.append(
            {
                "asked": asked.what,
                "bound": f"{'≤' if asked.least < 0 else '≥'} {abs(asked.least):g}",
                "measured": f"{abs(mean):.3f} [{low:.3f}, {high:.3f}]",
                "runs": len(every),
                "worst": f"{abs(means[worst]):.3f} ({worst[0]} at {100 * worst[1]:g} %)",
                "met": "yes" if counts >= asked.least - 1e-12 else "no",
            }
        )
    return rows
