"""The self-test: what is planted, what counts as found, and that nothing of it depends on chance or leaves the memory."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dataguard import api
from dataguard.canaries import marks
from dataguard.canaries.attacks import KINDS
from dataguard.canaries.language import Language, noise
from dataguard.canaries.measuring import Found, by_dose, wilson, with_recall
from dataguard.canaries.planting import Campaign, Ground, Planter, campaigns, doses, rounds
from dataguard.canaries.sample import Group, take_sample
from dataguard.canaries.self_test import Options
from dataguard.cli import app
from dataguard.columns import Role, Roles, resolve
from dataguard.coverage import ATTACKS
from dataguard.errors import RefusedError, RunError, UsageError
from dataguard.findings import CANARIES, COVERAGE
from dataguard.records import Batch
from dataguard.run import Run
from dataguard.secret import Secret
from harness import normal

KEY = bytes(range(32))
RULES = "DG101,DG106,DG203"


def spoken(number: int, count: int = 12) -> str:
    """A sentence that no other number has."""
    rng = random.Random(number)
    return " ".join("".join(rng.choices("abdegilmnorstu", k=5)) for _ in range(count))


def table(rows: int = 400) -> pa.Table:
    """Records with something for every kind of attack."""
    rng = np.random.default_rng(1)
    return pa.table(
        {
            "prompt": [spoken(n) for n in range(rows)],
            "response": [spoken(rows + n, 20) for n in range(rows)],
            "chosen": [spoken(2 * rows + n, 20) for n in range(rows)],
            "rejected": [spoken(3 * rows + n, 20) for n in range(rows)],
            "label": [("a", "b", "c")[n % 3] for n in range(rows)],
            "size": rng.normal(size=rows),
            "kind": rng.integers(0, 4, size=rows),
            "embedding": list(rng.normal(size=(rows, 4))),
            "other": [[n] for n in range(rows)],
        }
    )


def ground(rows: int = 400) -> Ground:
    made = table(rows)
    (batch,) = made.combine_chunks().to_batches()
    data = pa.record_batch(
        [column.cast(normal(column.type)) for column in batch.columns], names=made.column_names
    )
    return Ground.of(Group(data, resolve(data.schema, {}), np.zeros(rows, dtype=bool)))


def test_every_kind_is_one_of_the_table_of_coverage_and_fits_records_that_have_all() -> None:
    assert {kind.attack for kind in KINDS} <= {attack.key for attack in ATTACKS}
    assert all(ground().takes(kind) for kind in KINDS)
    bare = Ground.of(
        Group(pa.record_batch({"x": pa.array([], pa.int64())}), Roles(), np.zeros(0, dtype=bool))
    )
    assert [kind.attack for kind in KINDS if bare.takes(kind)] == ["exact-flood"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.attack)
def test_an_attack_changes_its_records_and_no_others(kind) -> None:
    whole = ground()
    planter = Planter([whole], KEY)
    planted = planter.plant([Campaign(kind.attack, 12, 0, 0)])
    (after,), (rows,) = planted.data, planted.where
    assert len(rows) == 12
    assert after.schema == whole.group.data.schema
    others = pa.array(np.setdiff1d(np.arange(400), rows))
    assert after.take(others) == whole.group.data.take(others)
    changed = [after.slice(int(row), 1) != whole.group.data.slice(int(row), 1) for row in rows]
    # A flood leaves the record that it copies, and common values may stand there already.
    assert sum(changed) >= 8
    again = Planter([whole], KEY).plant([Campaign(kind.attack, 12, 0, 0)])
    assert again.data[0] == after
    assert Planter([whole], bytes(32)).plant([Campaign(kind.attack, 12, 0, 0)]).data[0] != after


def test_noise_is_mostly_drawn_from_the_signs_of_the_data() -> None:
    texts = ["plain words here", "and others: 12, 345!", "\u0000 \u200b"]
    language = Language.of(texts)
    assert set(language.characters) == set("plainwordsheratnd:12,345!") | {"o"}
    drawn = [language.signs(random.Random(seed)) for seed in range(200)]
    own = [signs for signs in drawn if set(signs) <= set(language.characters)]
    assert 0.8 < len(own) / len(drawn) < 0.98
    assert len(set(own)) == 3  # letters, letters and digits, all
    assert set(noise(random.Random(1), "xyz")) <= set("xyz ")
    assert Language.of([]).signs(random.Random(1))


def test_records_of_the_target_label_are_taken_last() -> None:
    whole = ground()
    planted = Planter([whole], KEY).plant([Campaign("labelled-token", 20, 0, 0)])
    rows = pa.array(planted.where[0])
    (target,) = set(planted.data[0]["label"].take(rows).to_pylist())
    assert target not in whole.group.data["label"].take(rows).to_pylist()


def test_what_the_run_flagged_is_spared() -> None:
    whole = ground()
    whole.group.flagged[:380] = True
    planted = Planter([whole], KEY).plant([Campaign("trigger", 20, 0, 0)])
    assert planted.where[0].min() >= 380


def test_rounds_hold_one_campaign_of_a_kind_and_few_canaries() -> None:
    sizes = doses(2000, (0.0001, 0.005, 0.04, 0.2))
    assert sizes == (5, 10, 80)
    planned = campaigns([ground()], sizes, 3, KEY)
    assert len(planned) == 3 * 3 * len(KINDS)
    dealt = rounds(planned, 100, KEY)
    assert sorted(one.name for together in dealt for one in together) == sorted(one.name for one in planned)
    for together in dealt:
        assert sum(one.dose for one in together) <= 100
        assert len({one.attack for one in together}) == len(together)


def test_the_interval_of_wilson() -> None:
    low, high = wilson(0.5, 10)
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)
    assert wilson(1.0, 16)[0] > 0.8
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_recall_by_dose_and_in_the_table_of_coverage() -> None:
    found = [
        Found(Campaign("trigger", 10, 0, 0), 10, 10, ("DG204",)),
        Found(Campaign("trigger", 10, 1, 0), 10, 5, ("DG106",)),
        Found(Campaign("trigger", 5, 0, 0), 5, 0, ()),
    ]
    made = by_dose(found, 1000)
    assert made.schema == CANARIES
    assert made.select(
        "records", "rate", "campaigns", "campaigns_found", "found", "recall", "rules"
    ).rows() == [
        (5, 0.005, 1, 0, 0, 0.0, ""),
        (10, 0.01, 2, 1, 15, 0.75, "DG106, DG204"),
    ]
    before = pl.DataFrame(
        [{"attack": "style", "status": "not covered"}, {"attack": "trigger", "status": "covered"}],
        schema_overrides=COVERAGE,
    )
    before = before.select(
        pl.col(name) if name in before.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in COVERAGE.items()
    )
    after = with_recall(before, made)
    assert after.schema == COVERAGE
    assert after.select("attack", "campaigns", "smallest").rows() == [
        ("style", None, None),
        ("trigger", 3, 10),
    ]
    assert after["recall"][1] == pytest.approx(1 / 3)
    assert with_recall(after, made).equals(after)


@pytest.mark.parametrize(
    "wrong",
    [{"records": 10}, {"records": 60_000}, {"each": 0}, {"rates": ()}, {"rates": (0.5,)}, {"workers": 0}],
)
def test_numbers_out_of_bounds_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="expected"):
        Options(**wrong)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "data").mkdir()
    made = table(600).select(["prompt", "response", "label"])
    pq.write_table(made.slice(0, 350), folder / "data" / "a.parquet", row_group_size=100)
    pq.write_table(made.slice(350), folder / "data" / "b.parquet")
    api.scan(
        folder / "data",
        out=folder / "run",
        rules=RULES,
        policy=None,
        workers=1,
        secret_file=folder / "secret",
    )
    return folder


def test_the_sample_is_the_same_each_time_and_not_that_of_another_secret(scanned: Path) -> None:
    run, secret = Run.open(scanned / "run"), Secret.load(scanned / "secret")
    (one,) = take_sample(run, scanned / "data", 250, secret=secret, workers=1)
    (two,) = take_sample(run, scanned / "data", 250, secret=secret, workers=2)
    (other,) = take_sample(run, scanned / "data", 250, secret=Secret(bytes(32)), workers=1)
    assert one.data.num_rows == 250
    assert one.data == two.data != other.data
    assert one.roles.has((Role.PROMPT, Role.RESPONSE, Role.LABEL))


def test_the_self_test_measures_and_leaves_the_data_alone(scanned: Path) -> None:
    before = {path: path.read_bytes() for path in (scanned / "data").iterdir()}
    found = api.adversarial(
        scanned / "run", records=500, campaigns=2, rates=(0.02,), workers=1, secret_file=scanned / "secret"
    )
    assert found.complete, found.problems
    assert found.records == 500
    run = Run.open(scanned / "run")
    made = run.table("canaries")
    assert made.equals(found.table)
    recall = dict(made.select("attack", "recall").iter_rows())
    assert recall["exact-flood"] == recall["hidden-text"] == recall["planted-span"] == 1.0
    assert recall["label-flips"] == recall["injected-instruction"] == 0.0
    assert made.filter(attack="hidden-text")["rules"].item() == "DG203"
    covered = run.table("coverage").filter(attack="hidden-text").row(0, named=True)
    assert (covered["campaigns"], covered["recall"], covered["smallest"]) == (2, 1.0, 10)
    assert {path: path.read_bytes() for path in (scanned / "data").iterdir()} == before
    again = api.adversarial(
        run, records=500, campaigns=2, rates=(0.02,), workers=2, secret_file=scanned / "secret"
    )
    assert again.table.equals(found.table)


def test_changed_data_is_refused_and_moved_data_found(scanned: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(scanned / "data", moved)
    words = ["--records", "300", "--campaigns", "1", "--rates", "0.02", "--workers", "1"]
    call = [
        "adversarial",
        str(scanned / "run"),
        "--data",
        str(moved),
        "--secret-file",
        str(scanned / "secret"),
    ]
    done = CliRunner().invoke(app, [*call, *words, "--format", "json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["complete"] is True
    assert {row["records"] for row in told["canaries"]} == {6}
    text = CliRunner().invoke(app, [*call, *words])
    assert "hidden-text: smallest found 6 records" in text.stdout
    made = pq.read_table(moved / "a.parquet")
    pq.write_table(made.set_column(0, "prompt", [made["prompt"].to_pylist()[::-1]]), moved / "a.parquet")
    with pytest.raises(RunError, match="its records are others"):
        api.adversarial(scanned / "run", data=moved, records=300, campaigns=1, secret_file=scanned / "secret")


def test_a_rule_that_fails_makes_it_incomplete(scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataguard.canaries import measuring

    monkeypatch.setattr(measuring, "judge_all", lambda detectors, files: ({}, {"DG203": "broke"}))
    whole = ground()
    item = measuring.RoundsItem((whole.group,), ((Campaign("trigger", 5, 0, 0),),), (), KEY, KEY)
    came = measuring.rounds_item(item)
    assert came.problems == {"DG203": "broke"}
    assert [one.found for one in came.found] == [0]


# Guardrails


@pytest.fixture(scope="module")
def exported(scanned: Path) -> Path:
    api.adversarial(
        scanned / "run", records=500, campaigns=1, rates=(0.02,), workers=1, secret_file=scanned / "secret",
        export=scanned / "canaries",
    )  # fmt: skip
    return scanned / "canaries"


def test_every_exported_canary_says_what_it_is(exported: Path, scanned: Path) -> None:
    files = sorted(exported.glob("*.parquet"))
    assert len(files) > 8
    assert "Poisoned on purpose" in (exported / "README.md").read_text(encoding="utf-8")
    assert (exported.stat().st_mode & 0o777) == 0o700
    shared = Secret.load(scanned / "secret").derive("rules")
    for path in files:
        assert path.name.startswith("adversarial-canaries-")
        made = pq.read_table(path)
        assert b"poisoned on purpose" in made.schema.metadata[b"dataguard.canaries"]
        (label,) = set(made["dataguard_canary"].to_pylist())
        assert marks.is_ours(shared, label)
        assert not marks.is_ours(bytes(32), label)
        assert all(label in text for text in made["response"].to_pylist())


@pytest.mark.parametrize("place", ["data", "data/sub", "run", "run/sub", "."])
def test_canaries_are_not_written_where_they_could_pass_for_data(scanned: Path, place: str) -> None:
    before = sorted(scanned.rglob("*"))
    with pytest.raises(UsageError, match="away from the data and the run"):
        api.adversarial(scanned / "run", secret_file=scanned / "secret", export=scanned / place)
    assert sorted(scanned.rglob("*")) == before


def test_canaries_do_not_overwrite(scanned: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="new or empty"):
        api.adversarial(scanned / "run", secret_file=scanned / "secret", export=tmp_path)


@pytest.mark.parametrize("chosen", ["DG508", "DG203"])
def test_a_set_with_canaries_fails_and_is_never_signed(
    exported: Path, scanned: Path, tmp_path: Path, chosen: str
) -> None:
    canary = pq.read_table(exported / "adversarial-canaries-trigger.parquet").slice(3, 1)
    clean = pq.read_table(scanned / "data" / "a.parquet")
    (tmp_path / "data").mkdir()
    canary = canary.select(clean.column_names).cast(clean.schema)  # only the mark in the text is left
    pq.write_table(pa.concat_tables([clean, canary]), tmp_path / "data" / "all.parquet", row_group_size=64)
    run = api.scan(
        tmp_path / "data", out=tmp_path / "run", rules=chosen, workers=1, secret_file=scanned / "secret"
    )
    if chosen == "DG508":
        (found,) = run.table("findings").to_dicts()
        assert (found["rule"], found["severity"], found["records"]) == ("DG508", "high", 1)
        assert run.table("flagged")["row"].to_list() == [350]
    assert api.exit_code(run) != 0
    api.keygen(tmp_path / "key.pem")
    with pytest.raises(RefusedError, match="DG508"):
        api.attest(run, key=tmp_path / "key.pem")


def test_marks_of_others_and_broken_ones_are_no_canaries() -> None:
    ours, others = marks.mark(KEY, "one"), marks.mark(bytes(32), "one")
    text = [
        "plain",
        None,
        others,
        ours[:-1],
        ours[:-1] + "g",
        f"x{ours}y",
        f"{others} and {ours}",
        marks.PREFIX,
    ]
    data = pa.record_batch({"text": pa.array(text, pa.large_string())})
    assert marks.observe(Batch(data, 100, Roles(), KEY))["row"].to_list() == [105, 106]
    assert marks.observe(Batch(data, 100, Roles(), bytes(range(1, 33)))).is_empty()


def test_the_self_test_writes_no_mark_into_its_own_rounds() -> None:
    (data,) = Planter([ground()], KEY).plant([Campaign("trigger", 20, 0, 0)]).data
    assert not any(marks.PREFIX in text for text in data["response"].to_pylist())
