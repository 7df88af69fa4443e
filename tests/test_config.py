"""The configuration: what it says, what it refuses, and that the data's own file cannot weaken the screen."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from dataguard.config import Config, DataSet, Limits, Source, find, load
from dataguard.errors import UsageError
from dataguard.toml_file import MAX_HOSTILE_BYTES, MAX_TEXT

SHA = "ab" * 32

FULL = f"""
[dataset]
name = "helpdesk"
version = "3"
purpose = "fine-tuning"

[roles]
label = "topic"
prompt = ["question", "context"]

[[source]]
pattern = "web/**"
name = "Crawl of our help pages"
licence = "CC-BY-4.0"
sha256 = "{SHA.upper()}"
issuer = "web team"
uris = ["https://example.org/help"]

[[source]]
column = "origin"
value = "forum"
name = "Forum"
licence = "MIT"

[rules.DG301]
max_share = 0.5

[limits]
columns = 20
"""


PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"


def test_the_page_shows_what_is_read_and_every_limit(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    config = load(write(tmp_path, page.split("```toml\n")[1].split("```")[0]))
    assert [source.name for source in config.sources] == ["Our user forum", "FAQ, written by hand"]
    told = {
        cells[1].strip(" `"): cells[2].strip()
        for cells in (line.split("|") for line in page.splitlines() if line.startswith("| `"))
    }
    assert told == {name: f"{value:,}" for name, value in asdict(Limits()).items()}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of data and a working directory beside it."""
    data, cwd = tmp_path / "data", tmp_path / "work"
    data.mkdir()
    cwd.mkdir()
    return data, cwd


def write(folder: Path, text: str, name: str = "dataguard.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    path = write(tmp_path, FULL)
    config = load(path)
    assert config.dataset == DataSet(name="helpdesk", version="3", purpose="fine-tuning")
    assert config.roles == {"label": ("topic",), "prompt": ("context", "question"), "source": ("origin",)}
    assert config.sources[0] == Source(
        name="Crawl of our help pages",
        pattern="web/**",
        licence="CC-BY-4.0",
        sha256=(SHA,),
        issuer="web team",
        uris=("https://example.org/help",),
    )
    assert config.sources[1] == Source(name="Forum", column="origin", value="forum", licence="MIT")
    assert config.rules == {"DG301": {"max_share": 0.5}}
    assert config.limits == Limits(columns=20)
    assert config.sha256 == hashlib.sha256(FULL.encode()).hexdigest()
    assert [read.path for read in config.read_from] == [str(path)]
    assert not config.roles_only_add


def test_a_project_file_says_the_same_under_its_own_table(tmp_path: Path) -> None:
    path = write(tmp_path, '[project]\nname = "x"\n[tool.dataguard.dataset]\nname = "n"\n', "pyproject.toml")
    assert load(path).dataset.name == "n"
    with pytest.raises(UsageError, match=r"expected a table \[tool.dataguard\]"):
        load(write(tmp_path, '[project]\nname = "x"\n', "pyproject.toml"))


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("[datset]\n", "expected a key that is known, got 'datset'", "did you mean 'dataset'?"),
        ("[zzz]\n", "got 'zzz'", "the keys are dataset, roles, source, rules, limits"),
        (
            "[dataset]\nnmae = 'x'\n",
            "[dataset]: expected a key that is known, got 'nmae'",
            "did you mean 'name'?",
        ),
        ("[roles]\nlabels = 'y'\n", "got 'labels'", "did you mean 'label'?"),
        ("[[source]]\nname='a'\nlicense='MIT'\npattern='*'\n", "[[source]] 1: expected a key", "'licence'?"),
        ("[limits]\nmemory = 1\n", "got 'memory'", ""),
        ("[limits]\ncell_byte = 1\n", "got 'cell_byte'", "did you mean 'cell_bytes'?"),
        ("dataset = 3\n", "[dataset]: expected a table, got 3", ""),
        ("[dataset]\nversion = 3\n", "expected version to be text, got 3", ""),
        ("[dataset]\npurpose = 'fun'\n", "expected purpose to be one of training, testing", ""),
        ("[roles]\nlabel = [1]\n", "expected label to be text, got 1", ""),
        ("[limits]\ndepth = '9'\n", "expected depth to be a positive integer, got '9'", ""),
        ("[limits]\ndepth = true\n", "expected depth to be a positive integer, got True", ""),
        ("[limits]\ndepth = 0\n", "expected depth to be a positive integer, got 0", ""),
        (f"[limits]\ndepth = {2**63}\n", "expected depth to be a positive integer", ""),
        ("[rules]\nDG301 = 1\n", "[DG301]: expected a table, got 1", ""),
        ("[source]\nname = 'a'\n", "expected source to be a list of tables, [[source]]", ""),
        ("[[source]]\npattern = '*'\n", "expected name to be the name of the source, got ''", ""),
        ("[[source]]\nname = 'a'\n", "expected either pattern, or column and value", ""),
        (
            "[[source]]\nname='a'\npattern='*'\ncolumn='c'\nvalue='v'\n",
            "expected either pattern, or column",
            "",
        ),
        ("[[source]]\nname='a'\ncolumn='c'\n", "expected either pattern, or column and value", ""),
        (
            "[[source]]\nname='a'\npattern='*'\nvalue='v'\n",
            "expected either pattern, or column and value",
            "",
        ),
        (
            "[[source]]\nname='a'\npattern='/data/*'\n",
            "expected pattern to be",
            "relative to the data set's root",
        ),
        ("[[source]]\nname='a'\npattern='web/'\n", "expected pattern to be", "folder/** matches"),
        (
            "[[source]]\nname='a'\npattern='*'\nsha256='ab'\n",
            "expected sha256 to be 64 hexadecimal digits",
            "",
        ),
        (
            f"[[source]]\nname='a'\ncolumn='c'\nvalue='v'\nsha256='{SHA}'\n",
            "expected sha256 beside a pattern",
            "",
        ),
        (f"[dataset]\nname = '{'x' * (MAX_TEXT + 1)}'\n", f"at most {MAX_TEXT} characters", ""),
        ("[dataset\n", "expected TOML", ""),
        ("a = 1\na = 2\n", "expected TOML", ""),
        (f"a = {'9' * 5000}\n", "expected TOML", ""),
        (f"a = {'[' * 20_000}\n", "nested too deep", ""),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, problem: str, hint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load(path)
    assert caught.value.problem.startswith(str(path))
    assert problem in caught.value.problem
    assert hint in caught.value.hint
    assert len(str(caught.value)) < 1000


def test_hostile_keys_reach_no_terminal_unescaped(tmp_path: Path) -> None:
    path = write(tmp_path, '"\\u001b[2J\\u202e' + "k" * 500 + '" = 1\n')
    with pytest.raises(UsageError) as caught:
        load(path)
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)
    assert len(caught.value.problem) < 300


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "dataguard.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(UsageError, match="expected TOML"):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a configuration file, got: No such file"):
        load(tmp_path / "none.toml")


def test_nothing_declared_is_fine(places: tuple[Path, Path]) -> None:
    data, cwd = places
    assert find(data, None, cwd) == Config()
    assert Config().sha256 == ""


def test_the_named_file_stands_before_the_working_directory(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    data, cwd = places
    write(cwd, "[dataset]\nname = 'work'\n")
    named = write(tmp_path, "[dataset]\nname = 'named'\n", "other.toml")
    assert find(data, named, cwd).dataset.name == "named"
    assert find(data, None, cwd).dataset.name == "work"


def test_the_working_directory_offers_its_own_file_then_the_project_file(places: tuple[Path, Path]) -> None:
    data, cwd = places
    write(cwd, "[project]\nname = 'x'\n", "pyproject.toml")
    assert find(data, None, cwd) == Config()
    write(cwd, "[tool.dataguard.limits]\ndepth = 5\n", "pyproject.toml")
    assert find(data, None, cwd).limits.depth == 5
    write(cwd, "[limits]\ndepth = 6\n")
    assert find(data, None, cwd).limits.depth == 6


def test_the_data_may_name_itself_and_declare_roles_and_sources(places: tuple[Path, Path]) -> None:
    data, cwd = places
    write(
        data, "[dataset]\nname='d'\n[roles]\nlabel='y'\n[[source]]\nname='s'\npattern='**'\nlicence='MIT'\n"
    )
    config = find(data, None, cwd)
    assert config.dataset.name == "d"
    assert config.roles == {"label": ("y",)}
    assert config.roles_only_add
    assert config.sources_from_data
    assert config.sources[0].name == "s"


def test_a_table_of_the_user_stands_in_place_of_the_datas(places: tuple[Path, Path]) -> None:
    data, cwd = places
    write(
        data,
        "[dataset]\nname='d'\nversion='9'\n[roles]\nlabel='y'\n[[source]]\nname='s'\ncolumn='text'\nvalue='v'\n",
    )
    write(cwd, "[dataset]\nname='u'\n[roles]\nlabel='z'\n[limits]\ndepth=5\n")
    config = find(data, None, cwd)
    assert config.dataset == DataSet(name="u")
    assert config.roles == {"label": ("z",)}, (
        "a source that came with the data must not make a column a source's"
    )
    assert not config.roles_only_add
    assert config.sources_from_data
    assert config.limits.depth == 5
    digests = "".join(
        hashlib.sha256((folder / "dataguard.toml").read_bytes()).hexdigest() for folder in (cwd, data)
    )
    assert config.sha256 == hashlib.sha256(digests.encode()).hexdigest()


@pytest.mark.parametrize("table", ["[rules.DG301]\nmax_share = 1.0\n", "[limits]\ndepth = 9\n", "[limits]\n"])
def test_the_data_may_not_weaken_the_screen(places: tuple[Path, Path], table: str) -> None:
    data, cwd = places
    path = write(data, table)
    with pytest.raises(UsageError, match="this file came with the data") as caught:
        find(data, None, cwd)
    assert "--config" in caught.value.hint
    assert find(data, path, cwd).read_from[0].path == str(path), "who names it stands by it"


@pytest.mark.parametrize("name", ["dataguard.toml", "pyproject.toml"])
def test_a_working_directory_in_the_data_is_the_datas(places: tuple[Path, Path], name: str) -> None:
    data, _ = places
    inner = data / "inner"
    inner.mkdir()
    for folder in (data, inner):
        path = write(
            folder,
            "[limits]\ndepth=9\n" if name == "dataguard.toml" else "[tool.dataguard.limits]\ndepth=9\n",
            name,
        )
        with pytest.raises(UsageError, match="this file came with the data"):
            find(data, None, folder)
        path.unlink()


def test_links_in_the_data_are_not_followed(places: tuple[Path, Path], tmp_path: Path) -> None:
    data, cwd = places
    (data / "dataguard.toml").symlink_to(write(tmp_path, "[dataset]\nname='secret'\n", "secret.toml"))
    with pytest.raises(UsageError, match="a symbolic link"):
        find(data, None, cwd)
    (cwd / "dataguard.toml").symlink_to(tmp_path / "secret.toml")
    (data / "dataguard.toml").unlink()
    assert find(data, None, cwd).dataset.name == "secret", "the user's own links are the user's"


def test_what_is_no_file_does_not_hold_the_scan(places: tuple[Path, Path]) -> None:
    data, cwd = places
    os.mkfifo(data / "dataguard.toml")
    begun = time.monotonic()
    with pytest.raises(UsageError, match="expected a regular file"):
        find(data, None, cwd)
    assert time.monotonic() - begun < 5
    (data / "dataguard.toml").unlink()
    (data / "dataguard.toml").mkdir()
    with pytest.raises(UsageError, match=r"expected a (regular|configuration) file"):
        find(data, None, cwd)


def test_the_datas_file_is_bounded(places: tuple[Path, Path]) -> None:
    data, cwd = places
    write(data, "#" * (MAX_HOSTILE_BYTES + 1))
    with pytest.raises(UsageError, match=f"expected at most {MAX_HOSTILE_BYTES} bytes"):
        find(data, None, cwd)


def test_keys_of_many_parts_do_not_fill_the_memory(places: tuple[Path, Path]) -> None:
    data, cwd = places
    write(data, ".".join("a" * 100_000) + " = 1\n")  # would take tomllib gigabytes
    with pytest.raises(UsageError, match="expected at most 100 dots in a line"):
        find(data, None, cwd)


def test_worst_file_of_the_data_is_refused_in_bounded_time_and_memory(places: tuple[Path, Path]) -> None:
    data, cwd = places
    line = ".".join("a" * 99)
    write(data, "".join(f"k{n}.{line} = 1\n" for n in range(MAX_HOSTILE_BYTES // 210)))
    check = (
        "import sys\nfrom pathlib import Path\nfrom dataguard.config import find\n"
        "from dataguard.errors import UsageError\n"
        "try:\n    find(Path(sys.argv[1]), None, Path(sys.argv[2]))\nexcept UsageError:\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    print(*[line.split()[1] for line in lines if line.startswith('VmHWM')])\n"
    )
    run = [sys.executable, "-c", check, str(data), str(cwd)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 400 << 10  # kB


def test_loading_the_module_is_light() -> None:
    check = "import sys, dataguard.config; print(*[m for m in ('pyarrow', 'polars', 'pydantic') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
