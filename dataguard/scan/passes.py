"""Every pass of every rule, in order.

Evidence of an unchanged file serves in any set, so a second scan reads what the first wrote down.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import polars as pl

from dataguard.config import Source as DeclaredSource
from dataguard.engine import Failed
from dataguard.errors import DataguardError
from dataguard.evidence import evidence_key
from dataguard.findings import Judgement
from dataguard.provenance import Provenance
from dataguard.scan.against import Index
from dataguard.scan.concluding import Concluding
from dataguard.scan.context import Context
from dataguard.scan.looking import PROVENANCE_VERSION, Looking
from dataguard.scan.relate import Source
from dataguard.scan.work import ASSESSED, PROVENANCE, AssessItem, assess_item, assessed_from
from dataguard.version import __version__


class Passes:
    """Runs the passes of the record rules over a scan's items.

    Args:
        context: the scan.
        indexes: what an earlier run wrote down, by rule.
    """

    def __init__(self, context: Context, indexes: dict[str, Index]) -> None:
        self.context = context
        self.looking = Looking(context)
        self.concluding = Concluding(context, self.looking, indexes)

    def run(self) -> None:
        """All passes of all rules, the first together with digests and provenance."""
        for number in range(max((len(d.passes()) for d in self.context.detectors), default=1)):
            detectors = [
                d
                for d in self.context.detectors
                if len(d.passes()) > number and d.rule.code not in self.context.book.errors
            ]
            sweeps = [d for d in detectors if d.passes()[number].sweep is not None]
            # In the first pass there are no words yet.
            begun = self.concluding.begin_sweep(sweeps, number) if number else None
            asked = self.looking.observe(number, [d for d in detectors if d not in sweeps])
            if number == 0:
                self.looking.weigh()
            self.looking.settle(asked)
            self.concluding.sweep(sweeps, number, begun)
            for detector in detectors:
                if (
                    detector.passes()[number].fold is not None
                    and detector.rule.code not in self.context.book.errors
                ):
                    self.concluding.fold(detector, number)

    def judge(self) -> dict[str, Judgement]:
        """What each rule concludes; a rule without evidence or with an error is not in the answer."""
        return self.concluding.judge()

    def unspaced(self) -> float | None:
        """The share of words in scripts without spaces, None where no rule keeps words."""
        return self.concluding.unspaced()

    def earlier_names(self) -> dict[int, str]:
        """Names of the files of the earlier run, by number, as its indexes have them."""
        return {
            number: name for one in self.concluding.indexes.values() for number, name in one.names.items()
        }

    def index(self) -> dict[str, Any]:
        """Where the evidence lies that a later run can be compared with, for run.json."""
        return self.concluding.index()

    def provenance(self, files: pl.DataFrame, declared: tuple[DeclaredSource, ...]) -> Provenance:
        """The status of every source and record.

        Raises:
            DataguardError: it could not be assessed; a run without it would be no run.
        """
        inputs = tuple(
            Source(item.file.number, path)
            for item in self.context.items
            if self.context.book.stands(item)
            for key in [item.key(provenance=PROVENANCE_VERSION, roles=item.file.roles.to_json())]
            for path in [self.context.evidence.path(PROVENANCE, key)]
            if self.context.evidence.has(PROVENANCE, key)
        )
        seen = [[source.file, source.path.stem] for source in inputs]
        stated = [asdict(source) for source in declared]
        listed = hashlib.sha256(files.write_json().encode()).hexdigest()
        key = evidence_key(
            {
                "assess": PROVENANCE_VERSION,
                "dataguard": __version__,
                "seen": seen,
                "declared": stated,
                "files": listed,
            }
        )
        if not self.context.evidence.has(ASSESSED, key):
            item = AssessItem(files, inputs, declared, self.context.evidence.folder, key)
            (result,) = self.context.engine.map(assess_item, [item])
            if isinstance(result.value, Failed):
                reason = result.value.reason
                raise DataguardError(f"the provenance of the records could not be assessed: {reason}")
            self.context.evidence.keep([result.value])
        return assessed_from(self.context.evidence.path(ASSESSED, key).read_bytes())
