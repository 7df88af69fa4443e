"""A real browser opens the page with hostile text in every column: nothing runs, nothing is loaded.

Chromium is run headless with its log on stderr. `document.title` is the marker: every payload that runs and
says so changes it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import example_runs
from dataguard.report import render
from dataguard.report.found import FINDINGS, LISTED
from hostile_texts import CORE, payloads
from test_report import Page, check_harmless, hostile_run

pytestmark = pytest.mark.slow
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--virtual-time-budget=3000",
)  # fmt: skip
SCRIPT = "<script>document.title = 'pwned'</script>"
HANDLER = "<img src='data:,' onerror=\"document.title = 'pwned'\">"


@pytest.fixture(scope="module")
def chromium():
    """Opens a page and gives what the browser made of it, and its log."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.skip("chromium is not installed: .ci/run installs it")

    def browse(page: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        profile = page.with_suffix(".profile")
        command = [
            program,
            *FLAGS,
            f"--user-data-dir={profile}",
            "--enable-logging=stderr",
            *flags,
            page.as_uri(),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    return browse


def check_in_browser(page: Path, text: str, chromium) -> None:
    """The browser's document holds what was written and nothing else; it had nothing to run or to refuse."""
    page.write_text(text, encoding="utf-8")
    done = chromium(page, "--dump-dom")
    written, read = Page(text), check_harmless(done.stdout)
    assert read.within("title") == written.within("title")
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in written.elements]
    assert read.text.split() == written.text.split()
    assert "CONSOLE" not in done.stderr, "a refused script or address would be logged"


def test_the_marker_would_show_what_runs(tmp_path, chromium):
    page = tmp_path / "page.html"
    for hostile in (SCRIPT, HANDLER):
        page.write_text(f"<!doctype html><html><head><title>fine</title></head><body>{hostile}</body></html>")
        assert "<title>pwned</title>" in chromium(page, "--dump-dom").stdout


def test_the_content_security_policy_stops_what_would_get_in(tmp_path, chromium):
    page = tmp_path / "page.html"
    text = render(example_runs.clean(tmp_path / "run"))
    loads = "<img src='https://example.org/x.png'><iframe src='https://example.org/'></iframe>"
    page.write_text(text.replace("</main>", f"{SCRIPT}{HANDLER}{loads}<p style='color: red'>x</p></main>"))
    done = chromium(page, "--dump-dom")
    assert "<title>pwned</title>" not in done.stdout
    refused = [
        line for line in done.stderr.splitlines() if "CONSOLE" in line and "Content Security Policy" in line
    ]
    for directive in ("script-src", "img-src", "style-src"):
        assert any(directive in line for line in refused), (directive, refused)


def test_hostile_text_in_every_column_runs_nothing(tmp_path, chromium):
    for number, texts in enumerate((CORE[:18], CORE[18:])):
        run, excerpts = hostile_run(tmp_path / f"run{number}", list(texts))
        check_in_browser(tmp_path / f"page{number}.html", render(run, excerpts=excerpts), chromium)


def test_public_payloads_run_nothing(tmp_path, chromium):
    active = [
        text for text in payloads() if any(sign in text for sign in "<>\"'&") or "javascript" in text.lower()
    ]
    texts = active[
        :: len(active) // 600
    ]  # test_report.py goes through all; a browser takes its time to start
    assert len(texts) >= 600
    for number in range(0, len(texts), FINDINGS + LISTED):
        run, excerpts = hostile_run(tmp_path / f"run{number}", texts[number : number + FINDINGS + LISTED])
        check_in_browser(tmp_path / f"page{number}.html", render(run, excerpts=excerpts), chromium)


@pytest.mark.parametrize("width", [1280, 420])
def test_a_report_is_drawn(tmp_path, chromium, width):
    run, texts = example_runs.poisoned(tmp_path / "run")
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(render(run, excerpts=texts), encoding="utf-8")
    chromium(page, f"--screenshot={picture}", f"--window-size={width},1600")
    drawn = picture.read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) > 30_000, "an empty page weighs a few kilobytes"
