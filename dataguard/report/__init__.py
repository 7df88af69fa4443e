"""The report: one self-contained HTML page that a person can open anywhere, and that nothing in the data can move.

No script, no address outside of the page, a content security policy that names the style by its digest, and
templates that escape everything. Equal runs give equal bytes.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

    from dataguard.report.found import Excerpts
    from dataguard.run import Run

__all__ = ["examples", "render"]

TEMPLATES = Path(__file__).parent / "templates"


def examples(run: Run) -> list[tuple[str, int, str]]:
    """The records that the report shows as examples: file, row, and record digest in hex.

    Their texts are read again from the data by whoever calls `render`.
    """
    from dataguard.report.found import addresses, example_rows

    return addresses(example_rows(run.table("findings"), run.table("flagged")))


def render(run: Run, *, excerpts: Excerpts | None = None) -> str:
    """The report of a run as one HTML page.

    Args:
        run: a finished run; verdict.json may be absent.
        excerpts: texts of the records that `examples` names, read again from the data: by file and row, then
            by column. The spans of flagged.parquet are byte offsets into them. What is absent is said to be.

    Raises:
        RunError: a table of the run, run.json or verdict.json is damaged.
    """
    from dataguard.report.view import page

    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = _environment().get_template("report.html.j2")
    return template.render(page=page(run, excerpts or {}), style=style, style_digest=digest)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
