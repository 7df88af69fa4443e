"""Workers may die, hang, hoard and lie about it: the item they were at ends with a name, and nothing else does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import engine_items as items
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import DataguardError

MIB = 1 << 20
MEMORY = 700 * MIB


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(workers=2, memory=MEMORY, seconds=30) as engine:
        yield engine


def _ends(engine: LocalEngine, function: object, given: list[object]) -> list[object]:
    """The values in the order of the items."""
    found = {index: result.value for index, result in _numbered(engine, function, given)}
    return [found[index] for index in range(len(given))]


def _numbered(engine: LocalEngine, function: object, given: list[object]) -> Iterator[tuple[int, object]]:
    places: dict[int, list[int]] = {}
    for index, item in enumerate(given):
        places.setdefault(id(item), []).append(index)
    for result in engine.map(function, given):  # type: ignore[arg-type]
        yield places[id(result.item)].pop(0), result


def test_every_item_ends_once(engine: LocalEngine) -> None:
    assert _ends(engine, items.double, list(range(500))) == [2 * item for item in range(500)]


def test_no_items_no_workers() -> None:
    with LocalEngine(workers=2, memory=MEMORY, seconds=1) as engine:
        assert list(engine.map(items.double, [])) == []
        assert psutil.Process().children() == [] or engine.starting == 0


def test_a_worker_is_prepared(engine: LocalEngine) -> None:
    (found,) = (result.value for result in engine.map(items.where, [None]))
    assert found["pool"] == "system"
    assert found["polars"] == "1"
    assert found["cpus"] == 1
    assert not found["pandas"]
    assert found["path"] == [str(Path(entry).absolute()) for entry in sys.path]
    assert found["group"] != os.getpgrp()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM])
def test_a_death_costs_its_item_only(engine: LocalEngine, number: signal.Signals) -> None:
    given: list[object] = [0, 0, int(number), 0, 0, 0, int(number), 0, 0]
    found = _ends(engine, items.kill, given)
    for item, value in zip(given, found, strict=True):
        if item:
            assert value == Failed("died", f"the worker was killed by signal {item} ({number.name})")
        else:
            assert isinstance(value, int)


def test_an_exit_code_is_told(engine: LocalEngine) -> None:
    assert _ends(engine, items.leave, [0, 7]) == [
        Failed("died", "the worker ended with exit code 0"),
        Failed("died", "the worker ended with exit code 7"),
    ]


def test_a_timeout_ends_c_code_and_counts_for_its_item_only(engine: LocalEngine) -> None:
    begun = time.monotonic()
    results = list(engine.map(items.burn, ["one", "other"], seconds=lambda item: 1.0))
    assert [result.value for result in results] == [Failed("timeout", "took longer than 1 seconds")] * 2
    waited = [result.value for result in engine.map(items.sleep, [0.6] * 8, seconds=lambda item: 3.0)]
    assert waited == [0.6] * 8
    assert time.monotonic() - begun < 20


def test_memory_is_bounded(engine: LocalEngine) -> None:
    given: list[object] = [100 * MIB, 2_000 * MIB, 100 * MIB]
    assert _ends(engine, items.take, given) == [
        100 * MIB,
        Failed("memory", "needs more memory than a worker may use"),
        100 * MIB,
    ]


def test_what_an_item_may_use_does_not_depend_on_the_items_before() -> None:
    with LocalEngine(workers=1, memory=MEMORY, seconds=30) as engine:
        pids = [result.value for result in engine.map(items.hoard, [150 * MIB] * 8)]
        assert all(isinstance(pid, int) for pid in pids)
        assert len(set(pids)) > 1
        assert [result.value for result in engine.map(items.take, [300 * MIB])] == [300 * MIB]


def test_what_little_an_item_leaves_behind_is_not_what_the_next_one_lacks() -> None:
    with LocalEngine(workers=1, memory=MEMORY, seconds=30) as engine:
        (hoarder,) = [result.value for result in engine.map(items.hoard, [100 * MIB])]
        assert [result.value for result in engine.map(items.hoard, [0])] == [
            hoarder
        ]  # it stays, with what it holds
        assert [result.value for result in engine.map(items.take, [360 * MIB])] == [360 * MIB]
        assert [result.value for result in engine.map(items.hoard, [1])] != [hoarder]
        assert [result.value for result in engine.map(items.abort_beside_a_hoard, [3])] == [3]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("error", "ValueError: not this one"),
        ("exit", "SystemExit: 3"),
        ("interrupt", "KeyboardInterrupt: "),
        ("panic", "PanicException: index out of bounds"),
    ],
)
def test_whatever_is_raised_is_told(engine: LocalEngine, kind: str, reason: str) -> None:
    assert _ends(engine, items.raises, [kind, "", kind]) == [
        Failed("error", reason),
        None,
        Failed("error", reason),
    ]


def test_answers_that_cannot_be_sent_are_told(engine: LocalEngine) -> None:
    (value,) = _ends(engine, items.unpicklable, ["x"])
    assert isinstance(value, Failed)
    assert value.kind == "error"
    large = _ends(engine, items.answer, [1, 260 * MIB, 3])
    assert [len(value) if isinstance(value, bytes) else value.kind for value in large] == [1, "memory", 3]  # type: ignore[attr-defined]


def test_large_items_and_answers_pass_each_other(engine: LocalEngine) -> None:
    given: list[object] = [bytes([n]) * (3 * MIB) for n in range(12)]
    assert _ends(engine, items.echo, given) == given


def test_what_libraries_print_reaches_nobody(engine: LocalEngine, capfd: pytest.CaptureFixture[str]) -> None:
    assert _ends(engine, items.prints, ["\x1b[31mred"]) == ["\x1b[31mred"]
    assert capfd.readouterr() == ("", "")


def test_no_keys_to_stores_reach_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = ("AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_CONNECTION_STRING", "hub_token", "DB_PASSWORD")
    for name in (*doors, "TOLD"):
        monkeypatch.setenv(name, "opens")
    with LocalEngine(workers=1, memory=MEMORY, seconds=30) as engine:
        (found,) = (result.value for result in engine.map(items.variables, [0]))
    assert "TOLD" in found
    assert not set(doors) & set(found)


def test_an_interrupt_is_the_parents_business(engine: LocalEngine) -> None:
    assert _ends(engine, items.interrupted, [None]) == ["alive"]


def test_maps_within_maps_share_the_workers(engine: LocalEngine) -> None:
    found = Counter[int]()
    for outer in engine.map(items.double, [1, 2, 3, 4, 5, 6]):
        for inner in engine.map(items.double, [outer.value] * 3):
            found[inner.value] += 1
    assert found == {4 * item: 3 for item in (1, 2, 3, 4, 5, 6)}


def test_a_map_left_early_leaves_nothing_behind(engine: LocalEngine) -> None:
    for result in engine.map(items.double, range(100)):
        assert result.value == 2 * result.item
        break
    assert _ends(engine, items.double, [7]) == [14]


def test_items_are_taken_only_as_workers_come_free(engine: LocalEngine) -> None:
    taken = 0

    def given() -> Iterator[int]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield number

    for done, _ in enumerate(engine.map(items.double, given()), start=1):
        assert taken <= done + 4 * engine.workers


def test_nobody_waits_behind_a_long_item(engine: LocalEngine) -> None:
    assert engine.workers == 2
    ended = [result.value for result in engine.map(items.sleep, [1.5, 0.0, 0.01, 0.02, 0.03])]
    assert ended == [0.0, 0.01, 0.02, 0.03, 1.5]


def test_workers_killed_at_random_lose_no_item() -> None:
    """As the system does when memory is short, at any moment, also while a worker starts."""
    rng, stop = random.Random(3), threading.Event()

    def kill() -> None:
        while not stop.wait(rng.uniform(0.5, 1.5)):
            for child in rng.sample(psutil.Process().children(), 1):
                child.kill()

    ends = Counter[str]()
    with LocalEngine(workers=2, memory=MEMORY, seconds=30) as engine:
        killer = threading.Thread(target=kill)
        given = [0.01] * 600
        for number, result in enumerate(engine.map(items.sleep, given)):
            if not number:
                killer.start()
            ends[result.value.kind if isinstance(result.value, Failed) else "well"] += 1
        stop.set()
        killer.join()
    assert sum(ends.values()) == len(given)
    assert set(ends) <= {"well", "died"}
    assert ends["died"] >= 1
    assert ends["well"] > 500


def test_workers_that_never_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        LocalEngine(workers=2, memory=MEMORY, seconds=30) as engine,
        pytest.raises(DataguardError, match="to start"),
    ):
        list(engine.map(items.double, [1]))


def _script(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(body))
    known = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry),
    }
    return subprocess.Popen(
        [sys.executable, str(path)], env=known, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


BUSY = """
    import engine_items as items
    from dataguard.engine import LocalEngine
    with LocalEngine(workers=2, memory=700 << 20, seconds=600) as engine:
        next(engine.map(items.sleep, [0.01] * 2))
        print("busy", flush=True)
        list(engine.map(items.burn, [1, 2, 3, 4]))
"""


def _busy(tmp_path: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    process = _script(tmp_path, BUSY)
    assert _line(process) == "busy"
    time.sleep(0.5)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 2
    return process, children


def _gone(children: list[psutil.Process]) -> bool:
    alive = psutil.wait_procs(children, timeout=2)[1]
    return all(child.status() == psutil.STATUS_ZOMBIE for child in alive)


def test_an_interrupt_ends_all_within_two_seconds(tmp_path: Path) -> None:
    process, children = _busy(tmp_path)
    with process:
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        code = process.wait(10)
        assert time.monotonic() - begun < 2
        assert code in (-signal.SIGINT, 1)
        assert _gone(children)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_die_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    process, children = _busy(tmp_path)
    with process:
        process.send_signal(number)
        process.wait(10)
        assert _gone(children)


def test_a_script_without_a_guard_does_not_run_again_in_its_workers(tmp_path: Path) -> None:
    body = """
        import engine_items as items
        from dataguard.engine import LocalEngine
        print("began", flush=True)
        with LocalEngine(workers=2, memory=700 << 20, seconds=60) as engine:
            print(sorted(result.value for result in engine.map(items.double, [1, 2, 3])))
    """
    with _script(tmp_path, body) as process:
        output, _ = process.communicate(timeout=60)
    assert output == "began\n[2, 4, 6]\n"


def test_nothing_is_imported_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set may well be the working directory."""
    for name in ("polars", "pyarrow", "json", "dataguard", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(66)")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.chdir(tmp_path)
    with LocalEngine(workers=1, memory=MEMORY, seconds=30) as engine:
        assert _ends(engine, items.double, [2]) == [4]


def test_what_was_begun_goes_on_while_others_are_waited_for(engine: LocalEngine) -> None:
    begun = engine.begin(items.sleep, [0.8])
    started = time.monotonic()
    assert sorted(result.value for result in engine.map(items.sleep, [0.2] * 4)) == [0.2] * 4
    assert time.monotonic() - started >= 0.8 - 0.1  # one worker was at all of them
    assert [result.value for result in begun] == [0.8]
    assert time.monotonic() - started < 1.5
