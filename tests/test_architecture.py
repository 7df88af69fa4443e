"""House rules that prose does not keep: one-way imports, a light start, nothing that runs or sends what it reads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dataguard"

ORDER = (
    *("errors", "version", "strict_json", "toml_file", "resources", "tools", "atomic", "secret", "safe_text"),
    *(
        "columns",
        "config",
        "kernels",
        "records",
        "digests",
        "manifest",
        "words",
        "encoders",
        "findings",
        "provenance",
    ),
    *(
        "detectors",
        "coverage",
        "evidence",
        "run",
        "engine",
        "canaries",
        "scan",
        "gate",
        "attest",
        "report",
        "api",
        "cli",
    ),
)
"""The flow: a room imports earlier ones only. docs/architecture.md gives a sentence on each."""

HEAVY = (
    "polars",
    "pyarrow",
    "sklearn",
    "great_expectations",
    "numba",
    "pydantic",
    "pandas",
    "datasketch",
    "numpy",
)
"""What neither `--help` nor `import dataguard` may load."""

INSIDE_FUNCTIONS = {
    "great_expectations": "dataguard/gate/expectations.py",  # its classes are subclassed there; the file loads late
    "sklearn": "",
    "numba": "dataguard/kernels/",  # the whole room is loaded late
    "datasketch": "",
}
"""Libraries that take seconds to load: imported inside functions, but for the file named."""

FORBIDDEN = {
    **dict.fromkeys(("pickle", "joblib", "shelve", "marshal", "dill", "cloudpickle"), "runs what it reads"),
    **dict.fromkeys(("yaml", "ruamel"), "loaders run what they read; we write TOML and JSON"),
    **dict.fromkeys(
        ("socket", "ssl", "http", "requests", "urllib3", "ftplib", "smtplib", "httpx"), "phones home"
    ),
    **dict.fromkeys(("re", "regex"), "backtracks without end on hostile text; polars' expressions do not"),
}
FORBIDDEN_MODULES = {
    "urllib.request": "phones home",
    "multiprocessing.shared_memory": "outlives a killed worker",
}
PICKLERS = {"multiprocessing.reduction": "engine"}  # between our own processes, and there alone
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


every_module = pytest.mark.parametrize("path", _modules(), ids=_name)


def _room(path: Path) -> str:
    """The room of a module; empty for the package's own front, which stands above all rooms."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if room in ("__init__", "__main__") else room


def _imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Every module imported anywhere in a file, inside functions and for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole way"
            module = node.module or ""
            yield module, node
            yield from ((f"{module}.{alias.name}", node) for alias in node.names)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_every_room_has_its_place_in_the_flow() -> None:
    assert {_room(path) for path in _modules()} - {""} == set(ORDER)


@every_module
def test_imports_go_one_way(path: Path) -> None:
    room = _room(path)
    if not room:
        return
    assert room in ORDER, f"{room} has no place in ORDER yet"
    for module, node in _imports(_tree(path)):
        parts = module.split(".")
        if parts[0] != "dataguard" or len(parts) == 1 or parts[1] not in ORDER:
            continue
        assert ORDER.index(parts[1]) <= ORDER.index(room), (
            f"{_name(path)}:{node.lineno} imports {module}: {room} comes before {parts[1]} in the flow"
        )


@every_module
def test_nothing_forbidden_is_imported(path: Path) -> None:
    for module, node in _imports(_tree(path)):
        why = FORBIDDEN.get(module.split(".")[0]) or FORBIDDEN_MODULES.get(module)
        assert not why, f"{_name(path)}:{node.lineno} imports {module}, which {why}"
        assert PICKLERS.get(module) in (None, _room(path)), f"{_name(path)}:{node.lineno} imports {module}"


@every_module
def test_libraries_that_load_slowly_are_imported_where_they_are_needed(path: Path) -> None:
    tree = _tree(path)
    late = {
        statement
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _only_for_types(node)
        for statement in ast.walk(node)
    }
    for module, node in _imports(tree):
        library = module.split(".")[0]
        if library == "great_expectations":
            assert _room(path) == "gate", (
                f"{_name(path)}:{node.lineno}: only the gate knows Great Expectations"
            )
        late_only = library in INSIDE_FUNCTIONS and not _spared(path, INSIDE_FUNCTIONS[library])
        if late_only or (module.startswith("dataguard.kernels") and _room(path) != "kernels"):
            assert node in late, f"{_name(path)}:{node.lineno} imports {module} when it is loaded"


def _spared(path: Path, place: str) -> bool:
    return bool(place) and _name(path).startswith(place)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@every_module
def test_only_the_command_line_prints_and_nothing_runs_what_it_reads(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call):
            where = f"{_name(path)}:{node.lineno}"
            called = ast.unparse(node.func)
            assert called not in FORBIDDEN_CALLS, f"{where} calls {called}"
            if _room(path) != "cli":
                assert called not in ("print", "sys.stdout.write", "sys.stderr.write"), f"{where} prints"
            for keyword in node.keywords:
                unsafe = keyword.arg in ("allow_pickle", "shell") and ast.unparse(keyword.value) != "False"
                assert not unsafe, f"{where} passes {keyword.arg}"


def test_the_tree_is_as_said() -> None:
    expected = {"benchmarks", "checks", "dataguard", "docs", "sample_data", "tests", ".ci"}
    made = {"runs", "build", "dist", "notebooks"}  # by people and tools; notebooks come with the review
    folders = {entry.name for entry in ROOT.iterdir() if entry.is_dir()}
    hidden = {name for name in folders if name.startswith((".", "_"))} - {".ci"}
    assert folders - made - hidden == expected


LOADED = """
import sys
{statement}
print(*sorted(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""
HELP = """
from dataguard.cli import main
sys.argv = ["dataguard", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
"""


@pytest.mark.parametrize("statement", ["import dataguard", HELP], ids=["import", "help"])
def test_the_start_loads_nothing_heavy(statement: str) -> None:
    code = LOADED.format(statement=statement, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.split() == []


@pytest.mark.parametrize("arguments", [("-c", "import dataguard"), ("-m", "dataguard", "--help")])
def test_the_start_takes_less_than_half_a_second_of_cpu(arguments: tuple[str, ...]) -> None:
    assert min(_cpu_seconds(arguments) for _ in range(3)) <= 0.5


def _cpu_seconds(arguments: tuple[str, ...]) -> float:
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime
