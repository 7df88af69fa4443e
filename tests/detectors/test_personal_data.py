"""Check digits hold as their standards say, chance is told from numbers of people, and contact data is ordinary."""

from __future__ import annotations

import random
import time
from math import comb
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataguard.detectors._personal import (
    KINDS,
    by_chance,
    chinese_id,
    cpf,
    dni,
    finnish_id,
    iban,
    luhn,
    tax_code,
)
from dataguard.detectors.personal_data import PersonalData
from dataguard.findings import Judgement
from dataguard.report.found import SEALED
from harness import cut, judge_in_memory, records

RANDOM = random.Random(11)

PUBLISHED = [
    (luhn, "79927398713"),
    (luhn, "4111111111111111"),
    (luhn, "378282246310005"),
    (iban, "DE89370400440532013000"),
    (iban, "GB82WEST12345698765432"),
    (iban, "FR1420041010050500013M02606"),
    (iban, "NO9386011117947"),
    (iban, "MT84MALT011000012345MTLCAST001S"),
    (cpf, "52998224725"),
    (chinese_id, "11010519491231002X"),
    (dni, "12345678Z"),
    (dni, "X1234567L"),
    (finnish_id, "131052-308T"),
    (tax_code, "RSSMRA85T10A562S"),
]
"""Examples that the standards or their keepers print."""


@pytest.mark.parametrize(("check", "number"), PUBLISHED)
def test_published_examples_hold(check, number) -> None:
    assert check(number)


@pytest.mark.parametrize(("check", "number"), PUBLISHED)
def test_no_changed_digit_holds(check, number) -> None:
    for at, char in enumerate(number):
        if char.isdigit():
            changed = [number[:at] + digit + number[at + 1 :] for digit in "0123456789" if digit != char]
            assert not any(check(other) for other in changed)


def with_check(check, body: str, ends: str = "0123456789") -> str:
    return next(body + end for end in ends if check(body + end))


def digits(n: int) -> str:
    return "".join(RANDOM.choice("0123456789") for _ in range(n))


def card() -> str:
    return with_check(luhn, "4" + digits(14))


def judge(*texts: str | None, **options: float) -> Judgement:
    data = records({"text": pa.array(texts, pa.large_string())})
    return judge_in_memory(PersonalData(**options), [cut(data)])  # type: ignore[arg-type]


def spaced(number: str) -> str:
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


NUMBERS = {
    "iban": lambda: (
        "DE" + next(f"{n:02}{bban}" for bban in [digits(18)] for n in range(100) if iban(f"DE{n:02}{bban}"))
    ),
    "card": lambda: spaced(card()),
    "cpf": lambda: (lambda n: f"{n[:3]}.{n[3:6]}.{n[6:9]}-{n[9:]}")(
        next(body + f"{n:02}" for body in [digits(9)] for n in range(100) if cpf(body + f"{n:02}"))
    ),
    "chinese-id": lambda: with_check(chinese_id, "11010519491231" + digits(3), "0123456789X"),
    "dni": lambda: with_check(dni, digits(8), "TRWAGMYFPDXBNJZSQVHLCKE"),
    "finnish-id": lambda: with_check(finnish_id, "131052-" + digits(3), "0123456789ABCDEFHJKLMNPRSTUVWXY"),
    "tax-code": lambda: with_check(tax_code, f"RSSMRA85T10A{digits(3)}", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_few_numbers_whose_check_digits_hold_are_a_finding(kind: str) -> None:
    assert set(NUMBERS) == {name for name, known in KINDS.items() if known.chance}
    planted = [f"é number {NUMBERS[kind]()}, and more" for _ in range(5)]
    judgement = judge(*["nothing"] * 40, *planted)
    assert judgement.findings["group"].to_list() == [kind]
    assert judgement.findings["severity"].to_list() == ["medium"]
    assert set(judgement.flagged["row"]) == set(range(40, 45))
    assert not any(text[10:18] in judgement.findings["why"][0] for text in planted)


def test_numbers_without_meaning_are_no_finding() -> None:
    """A tenth of all numbers written like a card pass its check."""
    for seed in range(5):
        RANDOM.seed(seed)
        assert judge(*(f"id {RANDOM.choice('345')}{digits(15)}" for _ in range(2_000))).findings.is_empty()


def test_the_same_number_again_is_no_evidence() -> None:
    one = card()
    assert judge(*[f"order {one}"] * 50).findings.is_empty()


@given(st.integers(1, 60), st.data(), st.sampled_from([1 / 10, 1 / 23, 1 / 97]))
def test_chance_is_the_tail_of_the_binomial(tried, data, share) -> None:
    passing = data.draw(st.integers(0, tried))
    exact = sum(comb(tried, n) * share**n * (1 - share) ** (tried - n) for n in range(passing, tried + 1))
    if passing > tried * share:
        assert by_chance(passing, tried, share) == pytest.approx(exact, rel=1e-9)
    else:
        assert by_chance(passing, tried, share) == 1


@pytest.mark.parametrize(
    "text",
    [
        "jane@example.com john@mail.test info@company.com noreply@github.com a@localhost",
        "10.1.22.133 192.168.100.200 127.0.0.1 0.0.0.0 version 2.4.12.2 section 1.2.2.3 224.100.100.100",
        "+1 212 555 0147, +20210129063721, 10+4915112345678, +999 123 4567890, +000",
        "0.3333333333333335 and .4242424242424242424242",
        "4111 1111 1111 1111",
        "git@v1.2.3 user@host @decorator(x)",
    ],
)
def test_what_is_nobodys_is_not_even_measured(text: str) -> None:
    assert {m.value for m in judge(text).measures} == {0.0}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to Jane.Doe+list@sub.uni-bonn.de, please", "email"),
        ("call +49 (228) 73-1234 today", "phone"),
        ("call +15102341234", "phone"),
        ("host 146.82.138.117 answered", "ip-address"),
    ],
)
def test_contact_data_is_measured_and_a_finding_only_where_it_is_common(text: str, kind: str) -> None:
    few = judge(*["nothing"] * 95, *[text] * 5)
    assert few.findings.is_empty()
    assert {(m.group, m.value) for m in few.measures if m.value} == {("", 0.05), (kind, 0.05)}
    many = judge(*["nothing"] * 20, *[text] * 15)
    assert many.findings["group"].to_list() == [kind]
    assert many.findings["severity"].to_list() == ["low"]


def test_a_list_of_people_is_a_finding() -> None:
    names = [f"person{number}@firm{number}.de" for number in range(120)]
    judgement = judge(*["nothing"] * 200, "\n".join(names))
    assert judgement.flagged["row"].to_list() == [200]
    assert "120" in judgement.findings["why"][0]
    assert judge(*["nothing"] * 200, "\n".join(names[:50] * 4)).findings.is_empty()


def test_its_spans_are_sealed() -> None:
    assert f"{PersonalData.rule.code}-" in SEALED


@pytest.mark.parametrize(
    "part", ["a@", "a.", "+1", "1.", "4444 ", "DE89", "1234567", "ABCDEF85T10A562S", "a@b.", "jo@firm.de "]
)
def test_time_is_linear_in_the_text(part: str) -> None:
    def seconds(n: int) -> float:
        (batch,) = cut(records({"text": [part * (n // len(part))]}))
        took = []
        for _ in range(3):
            began = time.process_time()
            PersonalData().observe(batch, None)
            took.append(time.process_time() - began)
        return min(took)

    seconds(1_000)
    assert seconds(500_000) <= 15 * seconds(50_000) + 0.05


def test_on_real_data(shared: Path) -> None:
    """Instructions: nothing. Documentation: lists of contributors, and nothing but these."""
    clean = pl.read_parquet(shared / "data" / "poison" / "instruct_clean.parquet").to_arrow()
    columns = {name: clean[name].combine_chunks() for name in ("instruction", "input", "output")}
    assert judge_in_memory(PersonalData(), [cut(records(columns))]).findings.is_empty()
    texts = pl.read_parquet(shared / "data" / "neardup" / "part-000.parquet")["text"]
    lists = texts.str.count_matches("@", literal=True) >= 100
    judgement = judge(*texts.filter(lists), *texts.filter(~lists).head(2_000))
    assert judgement.findings["group"].to_list() == ["email"]
    assert "contributors" in judgement.findings["why"][0]
