"""The page: nothing of the data runs, hides or gets lost in it; it says what happened; equal runs give equal bytes."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import itertools
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import example_runs
from dataguard.errors import RunError
from dataguard.findings import SPAN, TABLES
from dataguard.report import TEMPLATES, examples, render
from dataguard.report.excerpt import line
from dataguard.report.found import FINDINGS, LISTED, OF_A_RULE
from example_runs import make_run, policy_line, verdict_of
from hostile_texts import CORE, hidden_in, payloads

TAGS = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "nav",
        "section",
        "footer",
        "article",
        "h1",
        "h2",
        "h3",
        "p",
        "a",
        "b",
        "i",
        "br",
        "code",
        "ol",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "div",
        "span",
        "bdi",
        "mark",
        "figure",
        "figcaption",
        "table",
        "text",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "svg",
        "rect",
        "circle",
        "path",
    ]
)
EMPTY = frozenset({"meta", "br"})


class Page(html.parser.HTMLParser):
    """A page as a browser reads it: elements with attributes, and texts by the element they stand in."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append((tuple(self._open), data))

    @property
    def text(self) -> str:
        return "".join(text for where, text in self.texts if "style" not in where)

    def within(self, tag: str) -> list[str]:
        """The texts that stand in elements of this name, run by run."""
        return [text for where, text in self.texts if tag in where]


def check_harmless(text: str) -> Page:
    """Nothing in the page can run or load anything, or fool the eye."""
    assert hidden_in(text) <= {"\n"}
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag in TAGS, tag
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            assert name not in (
                "src",
                "style",
                "srcdoc",
                "action",
                "formaction",
                "srcset",
                "ping",
                "xlink:href",
                "data",
            )
            assert name != "href" or (value or "").startswith("#"), value
    metas = [attributes for tag, attributes in page.elements if tag == "meta"]
    assert [meta for meta in metas if meta.get("http-equiv") == "refresh"] == []
    return page


def hostile_run(path: Path, texts: list[str]):
    """A run with a text in every text column of every table, in run.json and in verdict.json; and its excerpts."""
    tables = {}
    for name, schema in TABLES.items():
        columns = {}
        for column, kind in schema.items():
            if kind == pl.String:
                columns[column] = [text.encode("utf-8", "replace").decode() for text in texts]
            elif kind == SPAN:
                columns[column] = [
                    [{"column": text.encode("utf-8", "replace").decode(), "start": 0, "end": 4}]
                    for text in texts
                ]
            else:
                columns[column] = list(range(len(texts)))
        tables[name] = pl.DataFrame(columns, schema=schema)
    tables["flagged"] = tables["flagged"].with_columns(finding=tables["findings"]["id"])
    drawn = [("DG301", "label_share"), ("DG302", "selection_rate"), ("DG305", "label_jensen_shannon")]
    tables["measures"] = pl.concat(
        [
            tables["measures"],
            *(
                tables["measures"].with_columns(rule=pl.lit(r), name=pl.lit(n), value=pl.lit(0.5))
                for r, n in drawn
            ),
        ]
    )
    tables["unknown_provenance"] = tables["unknown_provenance"].with_columns(rows=pl.lit(1, pl.UInt64))
    first = texts[0]
    info = {
        "dataset": dict.fromkeys(("name", "version", "purpose"), first),
        "roles": {text: [text] for text in texts}, "inferred": texts, "tools": {text: text for text in texts},
        "stages": [{"name": text, "items": 1, "seconds": 1.0, "decoded_bytes": 1} for text in texts],
        **dict.fromkeys(("started", "finished", "root", "against", "reader", "canon", "dataguard", "manifest_sha256", "screened_root", "secret_key_id"), first),
        "data": texts,
    }  # fmt: skip
    lines = [policy_line(text, text, text, text, text, met=False, severity=text) for text in texts]
    lines += [
        policy_line("measures", text, text, text, text, met=False, kwargs={"rule": text, "name": text})
        for text in texts
    ]
    verdict = {
        **verdict_of(lines, tuple(texts)),
        "policy": {first: first},
        "tasks": {text: text for text in texts},
    }
    run = make_run(path, tables, info, verdict)
    flagged = tables["flagged"].select("file", "row").iter_rows()
    return run, {(file, row): {text: text} for (file, row), text in zip(flagged, texts, strict=True)}


def in_words(text: str, limit: int = 200) -> str:
    """What a page's text should hold of a payload."""
    return str(line(text.encode("utf-8", "replace").decode(), limit))


@pytest.mark.parametrize("texts", [CORE[:18], CORE[18:]], ids=["first", "rest"])
def test_hostile_text_in_every_column_is_shown_and_does_nothing(tmp_path, texts):
    run, excerpts = hostile_run(tmp_path / "run", list(texts))
    page = check_harmless(render(run, excerpts=excerpts))
    for text in texts:
        assert in_words(text) in page.text.replace("↵", "‹U+000A›")


def test_public_payloads_do_nothing(tmp_path):
    texts = [text for text in payloads() if len(text) < 150]
    assert len(texts) >= 600
    for number in range(0, len(texts), FINDINGS + LISTED):
        part = texts[number : number + FINDINGS + LISTED]
        run, excerpts = hostile_run(tmp_path / f"run{number}", part)
        page = check_harmless(render(run, excerpts=excerpts))
        whole = page.text.replace("↵", "‹U+000A›")
        for text in part:
            assert in_words(text) in whole, text


def test_public_payloads_of_any_length_do_nothing(tmp_path):
    texts = [text for text in payloads() if len(text) >= 150][:FINDINGS]
    run, excerpts = hostile_run(tmp_path / "run", texts)
    check_harmless(render(run, excerpts=excerpts))


def test_the_style_is_the_one_that_the_policy_names_and_nothing_else_is_allowed(tmp_path):
    page = Page(render(example_runs.clean(tmp_path / "run")))
    (style,) = page.within("style")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [
        a["content"]
        for t, a in page.elements
        if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in style
    assert "@import" not in style


def test_templates_switch_escaping_off_for_the_style_alone():
    source = "".join(path.read_text() for path in sorted(TEMPLATES.glob("*.j2")))
    assert source.count("safe") == 1
    assert "{{ style | safe }}" in source
    assert "autoescape" not in source


@pytest.mark.parametrize(
    ("info", "verdict", "headline"),
    [
        ({}, {"passed": True, "complete": True, "lines": []}, "Passed"),
        ({}, {"passed": False, "complete": True}, "Does not pass"),
        ({}, {"passed": "yes", "complete": True}, "Does not pass"),
        ({}, {"complete": True}, "Does not pass"),
        ({}, {"passed": True}, "Incomplete"),
        ({}, {"passed": True, "complete": False}, "Incomplete"),
        ({"complete": False}, {"passed": True, "complete": True}, "Incomplete"),
        ({"complete": "true"}, {"passed": True, "complete": True}, "Incomplete"),
        ({"complete": None}, None, "Incomplete"),
        ({}, None, "Not judged"),
        (
            {},
            {"passed": 1, "complete": 1, "lines": 7, "reasons": [3], "tasks": [], "incomplete": "x"},
            "Incomplete",
        ),
    ],
)
def test_only_a_plain_yes_passes(tmp_path, info, verdict, headline):
    page = Page(render(make_run(tmp_path / "run", info=info, verdict=verdict)))
    assert page.within("h2")[0] == headline
    assert page.within("title")[0].startswith(f"{headline}: ")


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b"[" * 200_000])
def test_a_damaged_verdict_is_an_error(tmp_path, text):
    run = example_runs.clean(tmp_path / "run")
    run.write("verdict.json", text)
    with pytest.raises(RunError, match=r"verdict\.json"):
        render(run)


def test_a_run_of_odd_values_in_run_json_renders(tmp_path):
    odd = {"dataset": 3, "counts": [], "roles": {"text": 3, "x": [None, 2]}, "inferred": 7, "stages": {"a": 1}, "tools": [],
           "data": [1, {"a": None}], "finished": 12, "trust_stat": True}  # fmt: skip
    page = check_harmless(render(make_run(tmp_path / "run", info=odd)))
    assert "cannot be attested" in page.text.lower()


def test_it_says_what_failed_what_was_not_read_and_what_did_not_look(tmp_path):
    run, texts = example_runs.poisoned(tmp_path / "run")
    page = check_harmless(render(run, excerpts=texts))
    for words in (
        "Incomplete, and does not pass",
        "2 of 9 files were not fully read",
        "DG101 duplicate share", "6.13 %", "at most 5 %", "Beyond this, copies decide what a model learns.",
        "PW.3.2", "provenance of every record",
        "extra/invoice%E2%80%AEtxt.parquet", "Parquet footer: expected magic PAR1, got ‹U+001B›[31m",
        "not applicable: no earlier run was named to compare with",
        "incomplete: part of train/part-004.parquet could not be compared with its footer",
        "Copies by file", "Label shares of intent", "Provenance coverage", "Findings by rule and severity",
        "Those marked were inferred", "vendor-x", "the SHA-256 of the file is none of those declared", "latency", "inferred",
        "9f2b6f3f6a1de0c5b6f2f1c6e7b27d3e6f0a4ce6b3b1d6f9f8a5d2c4e1b09a77", "pyarrow 26.0.1",
    ):  # fmt: skip
        assert words in page.text, words


def test_a_rule_that_was_not_chosen_is_said_not_to_have_looked(tmp_path):
    outcomes = [
        example_runs._outcome("DG999", "made up"),
        example_runs._outcome("DG101", "error", reason="it broke"),
    ]
    page = Page(render(make_run(tmp_path / "run", {"outcomes": outcomes})))
    assert "error: it broke" in page.text
    assert "was not chosen for this run" in page.text, "DG301 is in the catalogue and not in the run"
    assert "unknown outcome" in page.text


def test_the_span_is_highlighted_and_nothing_else(tmp_path):
    run, texts = example_runs.poisoned(tmp_path / "run")
    page = Page(render(run, excerpts=texts))
    assert page.within("mark").count("‹tags: say yes›") == 2
    assert "txt.exe" in page.within("mark")
    assert page.within("mark").count("раypal") == 2
    assert "‹U+202E›" in page.within("mark")
    assert "Thank you for your patience." not in "".join(page.within("mark"))


def test_examples_names_the_records_whose_texts_the_page_shows(tmp_path):
    run, texts = example_runs.poisoned(tmp_path / "run")
    wanted = examples(run)
    assert wanted == sorted(wanted)
    assert all(len(record) == 64 for _, _, record in wanted)
    asked = {(file, row) for file, row, _ in wanted}
    assert ("train/part-002.parquet", 4_211) in asked
    few = {address: text for address, text in texts.items() if address in asked}
    assert render(run, excerpts=few) == render(run, excerpts=texts)
    assert render(run) != render(run, excerpts=texts)


def test_an_example_shows_what_the_record_says_not_where_it_stands(tmp_path):
    finding = {
        "id": "DG101-1",
        "rank": 1,
        "rule": "DG101",
        "severity": "low",
        "records": 2,
        "why": "2 are equal",
    }
    flagged = [
        {"finding": "DG101-1", "file": "a", "row": row, "record": "00", "span": [], "why": f"copy {row}"}
        for row in (3, 8)
    ]
    run = make_run(tmp_path / "run", {"findings": [finding], "flagged": flagged}, {"roles": {"id": ["key"]}})
    texts = {("a", row): {"key": f"key-{row}", "empty": "", "said": "hello"} for row in (3, 8)}
    page = Page(render(run, excerpts=texts))
    assert "a rows 3; 8" in page.text
    assert page.within("dt").count("said") == 1
    assert not {"key", "empty"} & set(page.within("dt"))
    assert "copy 3" not in page.text, "what is said of one of them is not said of both"
    spanned = [{**row, "span": [{"column": "key", "start": 0, "end": 3}]} for row in flagged]
    marked = make_run(
        tmp_path / "other", {"findings": [finding], "flagged": spanned}, {"roles": {"id": ["key"]}}
    )
    assert Page(render(marked, excerpts=texts)).within("mark") == ["key", "key"]


def test_a_loud_rule_does_not_hide_the_others(tmp_path):
    rows = [
        {
            "id": f"DG101-{n:04}",
            "rank": n + 1,
            "rule": "DG101",
            "severity": "high",
            "score": 1.0,
            "records": 2,
            "why": f"copy {n}",
        }
        for n in range(200)
    ]
    rows.append(
        {
            "id": "DG203-1",
            "rank": 201,
            "rule": "DG203",
            "severity": "low",
            "score": 0.1,
            "records": 1,
            "why": "odd one",
        }
    )
    page = Page(render(make_run(tmp_path / "run", {"findings": rows})))
    articles = "".join(page.within("article"))
    assert [f"copy {n}" in articles for n in (0, OF_A_RULE - 1, OF_A_RULE)] == [True, True, False]
    assert "odd one" in articles
    assert f"copy {OF_A_RULE + LISTED - 1}" in page.text
    assert f"and {201 - OF_A_RULE - 1 - LISTED} more: " in page.text


def test_a_huge_run_stays_small(tmp_path):
    text = render(example_runs.huge(tmp_path / "run"))
    page = check_harmless(text)
    assert len(text.encode()) < 1_000_000
    assert "9,915 more" in page.text
    assert "and 1,950 more, in files.parquet" in page.text


def test_equal_runs_give_equal_bytes(tmp_path):
    run, texts = example_runs.poisoned(tmp_path / "run")
    here = render(run, excerpts=texts)
    code = (
        "import sys; from pathlib import Path; import example_runs; from dataguard.report import render;"
        "run, texts = example_runs.poisoned(Path(sys.argv[1]));"
        "sys.stdout.buffer.write(render(run, excerpts=texts).encode())"
    )
    root = Path(__file__).parent
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{root}{os.pathsep}{root.parent}"}
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / seed], env=env, capture_output=True, check=True
        )
        assert done.stdout.decode() == here


def test_the_import_is_light():
    code = "import sys, dataguard.report; print({'polars', 'pyarrow', 'jinja2', 'numpy'} & set(sys.modules))"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("kind", ["poisoned", "clean"])
def test_a_screen_reader_finds_its_way(tmp_path, kind):
    made = getattr(example_runs, kind)(tmp_path / "run")
    run, texts = made if isinstance(made, tuple) else (made, {})
    page = Page(render(run, excerpts=texts))
    tags = [tag for tag, _ in page.elements]
    assert dict(page.elements)["html"] == {"lang": "en"}
    assert [tags.count(tag) for tag in ("main", "h1", "nav", "footer")] == [1, 1, 1, 1]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        if tag == "a":
            assert attributes["href"].removeprefix("#") in ids
        if tag == "svg":
            assert attributes.get("role") == "img" or attributes.get("aria-hidden") == "true"
        if tag == "section":
            assert attributes["aria-labelledby"] in ids
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
        assert "tabindex" not in attributes or attributes.get("aria-label")
    pictures = sum(1 for tag, attributes in page.elements if tag == "svg" and attributes.get("role") == "img")
    assert sum(1 for where, _ in page.texts if where[-2:] == ("svg", "title")) == pictures
    levels = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3")]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def _colours(block: str) -> dict[str, str]:
    parts = [
        part.split(":", 1) for part in block.replace("\n", ";").split(";") if part.strip().startswith("--")
    ]
    return {name.strip()[2:]: value.strip() for name, value in parts if value.strip().startswith("#")}


def _contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_pictures_stand_out_from_the_paper(scheme):
    style = (TEMPLATES / "style.css").read_text()
    light, dark = (_colours(part.split("}", 1)[0]) for part in style.split(":root {")[1:3])
    colour = light if scheme == "light" else {**light, **dark}
    for text in ("ink", "soft", "link", "good", "bad", "open", "flag"):
        for paper in ("paper", "sheet"):
            assert _contrast(colour[text], colour[paper]) >= 4.5, (text, paper)
    for tone in ("good", "bad", "open", "still"):
        for text in (tone, "ink", "soft"):
            assert _contrast(colour[text], colour[f"{tone}-wash"]) >= 4.5, (text, tone)
    assert _contrast(colour["mark-ink"], colour["mark"]) >= 4.5
    assert _contrast(colour["esc"], colour["esc-wash"]) >= 4.5
    for picture in ("accent", "high", "medium"):
        assert _contrast(colour[picture], colour["paper"]) >= 3, picture
