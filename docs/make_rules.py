"""Write docs/rules.md from the rules themselves: ``python docs/make_rules.py [--check]``.

The page of a rule is the docstring of its module, the options are the fields of its class with what the class says
of them, the examples are those that the tests run. So the document cannot say something else than the code.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import sys
from pathlib import Path

from dataguard.detectors import Detector, catalogue, page
from dataguard.detectors.base import FollowingDetector

TARGET = Path(__file__).with_name("rules.md")

HEAD = """# Rules

<!-- Written by `make docs` from the rules in dataguard/detectors. Change them, not this page. -->

What dataguard looks for. The first digit of a code is the family: 1 copies, 2 content and poisoning, 3 balance,
4 provenance, 5 tampering and files. `dataguard explain DG203` prints a rule's page; `dataguard scan --rules DG1,DG203`
runs only some. Options are set by code in [dataguard.toml](configuration.md); what passes is said by a
[policy](gate.md), not here; how to read what is measured, and when it misleads, in [measures.md](measures.md) and
[vectors.md](vectors.md). The ids of tasks and threats are explained in [nist.md](nist.md).
"""


def rules() -> str:
    """The whole document."""
    kinds = catalogue()
    rows = [
        f"| [{kind.rule.code}](#{_anchor(kind)}) | {kind.rule.name} | {kind.rule.summary} | {kind.rule.severity} | {kind.rule.task} |"
        for kind in kinds
    ]
    index = "\n".join(["| code | name | looks for | severity | task |", "|---|---|---|---|---|", *rows])
    return "\n".join([HEAD, index, "", *(_rule(kind) for kind in kinds), _threats(kinds)])


def _threats(kinds: tuple[type[Detector], ...]) -> str:
    """Which rules answer which threat."""
    by_id: dict[str, list[str]] = {threat: [] for kind in kinds for threat in kind.rule.threats}
    for kind in kinds:
        for threat in kind.rule.threats:
            by_id[threat].append(f"[{kind.rule.code}](#{_anchor(kind)})")
    rows = [f"| {threat} | {', '.join(by_id[threat])} |" for threat in sorted(by_id)]
    return "\n".join(["## By threat", "", "| threat | rules |", "|---|---|", *rows, ""])


def _anchor(kind: type[Detector]) -> str:
    return f"{kind.rule.code.lower()}-{kind.rule.name}"


def _rule(kind: type[Detector]) -> str:
    """One rule: what it is, its page a level down, its options and its examples."""
    rule = kind.rule
    brought = kind.stands_on if issubclass(kind, FollowingDetector) else ()
    facts = [
        f"severity {rule.severity}",
        f"confidence {rule.confidence}",
        rule.lifecycle,
        f"version {rule.version}",
        f"task {rule.task}",
        "threats " + ", ".join(rule.threats),
        f"needs a column of role {', '.join(kind.needs)}" if kind.needs else "",
        f"reads the tables of {', '.join(rule.after)}" if rule.after else "",
        f"brings along {', '.join(brought)}" if brought else "",
    ]
    parts = [
        f"## {rule.code} {rule.name}",
        "*" + " · ".join(fact for fact in facts if fact) + "*",
        page(kind).replace("\n## ", "\n### "),
        _options(kind),
        _examples(kind),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _options(kind: type[Detector]) -> str:
    said = _arguments(kind)
    rows = [
        f"| `{field.name}` | `{field.default!r}` | {said[field.name]} |" for field in dataclasses.fields(kind)
    ]
    return (
        "\n".join(["### Options", "", "| option | default | meaning |", "|---|---|---|", *rows])
        if rows
        else ""
    )


def _arguments(kind: type[Detector]) -> dict[str, str]:
    """What the class's docstring says of each of its options: name by name, lines joined."""
    _, _, block = inspect.cleandoc(kind.__doc__ or "").partition(
        "Args:\n"
    )  # Python 3.13 cuts the indent itself
    said: dict[str, str] = {}
    name = ""
    for line in block.split("\n"):
        text = line.strip()
        head, colon, rest = text.partition(": ")
        if line.startswith(" " * 4) and not line.startswith(" " * 5) and colon and head.isidentifier():
            name, text = head, rest
            said[name] = text
        elif text and name:
            said[name] += " " + text
        elif not text:
            name = ""
    return said


def _examples(kind: type[Detector]) -> str:
    lines = [
        f"- {'flagged' if example.rows or example.groups else 'passes'}: {example.why}"
        for example in kind.examples
    ]
    return "\n".join(["### Examples that the tests hold it to", "", *lines])


def main() -> int:
    """Write or compare; return the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/rules.md from the rules.")
    parser.add_argument("--check", action="store_true", help="compare with what stands there, write nothing")
    made = rules()
    if not parser.parse_args().check:
        TARGET.write_text(made, encoding="utf-8")
        return 0
    if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == made:
        return 0
    sys.stderr.write("docs/rules.md is not what the rules say: run `make docs`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
