"""The documents hold against the code: commands exist, examples run, links lead somewhere, lists are complete."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from dataguard.cli import app
from dataguard.detectors import catalogue
from dataguard.findings import TABLES
from test_architecture import ORDER

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(
            path
            for folder in ("docs", "checks", "sample_data", "benchmarks")
            for path in (ROOT / folder).rglob("*.md")
        ),
    ]
)
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TESTS = "-m pytest"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", _text(page), flags=re.MULTILINE | re.DOTALL)


def _environment(**more: object) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **{name: str(value) for name, value in more.items()}}


# Commands


def _calls(block: str) -> Iterator[list[str]]:
    """The words of every call of dataguard in a block of shell."""
    for line in block.replace("\\\n", " ").split("\n"):
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            if words and Path(words[0]).name == "dataguard":
                yield words[1:]


@every_page
def test_commands_in_blocks_parse(page: Path) -> None:
    for block in _blocks(page, "sh"):
        for name, *arguments in _calls(block):
            assert name in COMMANDS, f"dataguard {name}"
            COMMANDS[name].make_context(name, arguments)  # raises on what the command does not take


@every_page
def test_commands_in_prose_exist(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", _text(page), flags=re.MULTILINE | re.DOTALL)
    for call in re.findall(r"`dataguard ([^`]+)`", prose):
        name, *arguments = call.split()
        if name.startswith("-"):
            continue
        assert name in COMMANDS, f"dataguard {call}"
        options = {option for parameter in COMMANDS[name].params for option in parameter.opts} | {"--help"}
        assert {word for word in arguments if word.startswith("--")} <= options, f"dataguard {call}"


def test_the_readme_names_every_command() -> None:
    named = {words[0] for block in _blocks(ROOT / "README.md", "sh") for words in _calls(block)}
    assert set(COMMANDS) - {"rules", "doctor"} <= named


def test_ci_runs_the_tests_as_the_readme_does() -> None:
    (command,) = (block for block in _blocks(ROOT / "README.md", "sh") if TESTS in block)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"\n{command}" in script
    assert script.count(TESTS) == 1
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_readme_sets_both_commands_up_alike() -> None:
    demo, tests = (block.splitlines() for block in _blocks(ROOT / "README.md", "sh")[:2])
    assert [line.replace("-dev", "") for line in tests[:3]] == demo[:3]


def test_make_says_what_there_is_and_the_docs_ask_for_nothing_else() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    asked = {
        name
        for page in PAGES
        for name in re.findall(r"`?\bmake ([a-z-]+)`|^make ([a-z-]+)", _text(page), flags=re.MULTILINE)
        for name in name
        if name
    }
    assert asked <= targets


# Examples


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CONTRIBUTING.md" and _blocks(page, "python")],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_python_examples_run(page: Path, tmp_path: Path) -> None:
    code = "\n".join(_blocks(page, "python"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=_environment(XDG_DATA_HOME=tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.fixture(scope="module")
def contributed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rule of CONTRIBUTING.md in a file, and a pytest plugin that puts it among the rules."""
    (code,) = _blocks(ROOT / "CONTRIBUTING.md", "python")
    folder = tmp_path_factory.mktemp("contributed")
    (folder / "rules").mkdir()
    (folder / "rules" / "echoed_prompt.py").write_text(code, encoding="utf-8")
    plugin = f"import dataguard.detectors\ndataguard.detectors.__path__.append({str(folder / 'rules')!r})\n"
    (folder / "contributed.py").write_text(plugin, encoding="utf-8")
    return folder


def test_the_rule_of_the_contributing_page_obeys_the_laws(contributed: Path) -> None:
    command = re.search(r"`\.venv/bin/python (-m pytest [^`]+)`: the laws", _text(ROOT / "CONTRIBUTING.md"))
    assert command
    done = subprocess.run(
        [sys.executable, *shlex.split(command[1]), "-p", "contributed", "-p", "no:cacheprovider", "-v"],
        cwd=ROOT,
        env=_environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(contributed)])),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    laws = re.findall(r"::(test_\w+)\[.*(?:DG290|EchoedPrompt).*\] PASSED", done.stdout)
    assert len(set(laws)) >= 8
    assert laws.count("test_examples_hold") == 2
    assert "test_cuts_and_order_of_evidence_do_not_matter" in laws


def test_the_rule_of_the_contributing_page_is_in_the_house_style(contributed: Path) -> None:
    for words in (["check"], ["format", "--check"]):
        command = [
            sys.executable,
            "-m",
            "ruff",
            *words,
            "--no-cache",
            "--config",
            str(ROOT / "pyproject.toml"),
        ]
        done = subprocess.run(
            [*command, str(contributed / "rules")], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout


# Lists and links


def test_the_page_of_the_rules_is_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "make_rules.py"), "--check"]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(
        r"^#+ (.+)$",
        re.sub(r"^```.*?^```$", "", _text(page), flags=re.MULTILINE | re.DOTALL),
        flags=re.MULTILINE,
    )
    kept = (
        "".join(c for c in text.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
        for text in headings
    )
    return {text.strip().replace(" ", "-") for text in kept}


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", _text(page), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), target
        assert to.is_relative_to(ROOT), target
        assert not anchor or anchor in _anchors(to), target


def test_the_index_names_every_page() -> None:
    docs = ROOT / "docs"
    linked = set(re.findall(r"^\| \[([^\]]+)\]", _text(docs / "README.md"), flags=re.MULTILINE))
    assert linked == {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} - {"README.md"}


def test_the_architecture_page_says_the_order_of_imports_and_every_room() -> None:
    text = _text(ROOT / "docs" / "architecture.md")
    (order,) = re.findall(r"`(errors < [^`]+)`", text)
    assert tuple(order.replace("\n", " ").split(" < ")) == ORDER
    tree = text.partition("## The tree")[2].partition("\n## ")[0]
    rooms = {
        room
        for cell in re.findall(r"^\| (`[^|]+) \|", tree, flags=re.MULTILINE)
        for room in re.findall(r"`(\w+)`", cell)
    }
    assert rooms == set(ORDER)


def test_the_architecture_page_lists_every_table_of_a_run() -> None:
    text = _text(ROOT / "docs" / "architecture.md").partition("## The run folder")[2]
    named = {
        name
        for cell in re.findall(r"^\| ([^|]+) \|", text, flags=re.MULTILINE)
        for name in re.findall(r"`(\w+)\.parquet`", cell)
    }
    assert named == set(TABLES)


def test_the_standards_page_names_what_there_is() -> None:
    text = _text(ROOT / "docs" / "nist.md")
    served, _, rest = text.partition("## Not in this release")
    for name in re.findall(r"`((?:dataguard|tests|checks)/[^`]*)`", text):
        assert (ROOT / name).exists(), name
    rows = [
        row.split(" | ") for row in re.findall(r"^\| (P[OSW]\..+|RV\..+) \|$", served, flags=re.MULTILINE)
    ]
    assert len(rows) > 10
    assert all(len(row) == 4 and "`tests/" in row[3] for row in rows)
    tasks = {task for row in rows for task in re.findall(r"[A-Z]{2}\.\d\.\d", row[0])}
    assert {kind.rule.task for kind in catalogue()} <= tasks
    threats = rest.partition("## Threats")[2]
    explained = set(re.findall(r"^\| ([A-Z]+[A-Za-z]*\.[\w.]+) \|", threats, flags=re.MULTILINE))
    assert explained == {threat for kind in catalogue() for threat in kind.rule.threats}


def test_nothing_names_a_registry_or_the_machine_it_was_written_on() -> None:
    words = ["pypi" + ".org", "python" + "hosted.org", "/" + "root/", "/" + "work/", "/" + "tmp/"]
    texts = (".md", ".py", ".toml", ".txt", ".json", ".j2", ".css", "", ".yml")
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        ours = parts[0] == ".ci" or not (parts[0].startswith(".") or parts[0] in ("runs", "build", "dist"))
        if ours and path.is_file() and path.suffix in texts:
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [word for word in words if word in text], path
