"""The kinds of personal data, how each is written, and the check digits that tell it from other numbers."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, lgamma, log, log1p

import polars as pl

from dataguard.detectors._matches import Sifted
from dataguard.findings import conform

_B = r"(?-u:\b)"

_RESERVED_DOMAINS = (
    "example.com",
    "example.net",
    "example.org",
    "example.edu",
    "domain.com",
    "email.com",
    "localhost",
)
_RESERVED_ENDS = (
    ".example",
    ".test",
    ".invalid",
    ".localhost",
    ".local",
    *(f".{name}" for name in _RESERVED_DOMAINS),
)
"""Names that belong to nobody (RFC 2606, RFC 6761), and those that texts use like these."""

_ROLES_TEXT = (
    "abuse admin administrator contact ftp hello help hostmaster info list lists mailer-daemon marketing news no-reply "
    "nobody noc noreply office postmaster root sales security someone support team test usenet user uucp webmaster www "
    "you your"
)
_ROLES = frozenset(_ROLES_TEXT.split())
"""Mailboxes that are no person's: those of RFC 2142, and their like."""

_ASSIGNED = (
    "1 7 20 27 30-34 36 39-41 43-49 51-58 60-66 81 82 84 86 90-95 98 211-213 216 218 220-246 248-258 260-269 290 291 "
    "297-299 350-359 370-378 380-383 385-387 389 420 421 423 500-509 590-599 670 672-683 685-692 850 852 853 855 856 "
    "880 886 960-968 970-977 992-996 998"
)
_RANGES = (code.partition("-") for code in _ASSIGNED.split())
_CALLING_CODES = frozenset(
    str(code) for low, _, high in _RANGES for code in range(int(low), int(high or low) + 1)
)
"""Country codes in use (ITU-T E.164, list of assigned codes)."""

_IBAN_LENGTHS = {
    code: int(length)
    for length, codes in (
        line.split(":")
        for line in (
            "15:NO", "16:BE", "18:DK FI FO GL NL SD", "19:MK SI", "20:AT BA EE KZ LT LU MN XK",
            "21:CH HR LI LV", "22:BG BH CR DE GB GE IE ME RS VA", "23:AE GI IL IQ OM SO TL",
            "24:AD CZ ES MD PK RO SA SE SK TN VG", "25:LY PT ST", "26:IS TR", "27:BI DJ FR GR IT MC MR SM",
            "28:AL AZ BY CY DO GT HN HU LB NI PL SV", "29:BR EG PS QA UA", "30:JO KW MU YE", "31:MT SC", "32:LC", "33:RU",
        )
    )
    for code in codes.split()
}  # fmt: skip
"""Characters of an IBAN by country (the registry of ISO 13616)."""

_TEST_NUMBERS = (
    "4111111111111111 4012888888881881 4242424242424242 4000056655665556 5555555555554444 5105105105105100 "
    "5200828282828210 2223003122003222 378282246310005 371449635398431 378734493671000 6011111111111117 "
    "6011000990139424 3530111333300000 3566002020360505 4532015112830366 5425233430109903 4916338506082832"
)
_TEST_CARDS = frozenset(_TEST_NUMBERS.split())
"""Numbers that the payment services give out for tests."""


def luhn(digits: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, annex B)."""
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    return (sum(n - 9 * (n > 9) for n in doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def iban(text: str) -> bool:
    """Whether an IBAN without spaces has its country's length and its check digits (ISO 13616, ISO 7064 MOD 97-10)."""
    if _IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def cpf(digits: str) -> bool:
    """Whether both check digits of a Brazilian CPF hold (weighted sums modulo 11)."""
    numbers = [int(digit) for digit in digits]
    return all(
        sum(n * (size + 1 - at) for at, n in enumerate(numbers[:size])) * 10 % 11 % 10 == numbers[size]
        for size in (9, 10)
    )


def chinese_id(text: str) -> bool:
    """Whether the last character of a Chinese identity number checks the others (GB 11643, ISO 7064 MOD 11-2)."""
    total = sum(int(digit) * pow(2, 17 - at, 11) for at, digit in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()


def dni(text: str) -> bool:
    """Whether the letter of a Spanish DNI or NIE is that of its number modulo 23."""
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(text[:-1].translate(str.maketrans("XYZ", "012"))) % 23] == text[-1]


def finnish_id(text: str) -> bool:
    """Whether the last character of a Finnish identity code is that of its number modulo 31."""
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(text[:6] + text[7:10]) % 31] == text[-1]


_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
"""What a letter (a digit as the letter of its number) counts at odd places of an Italian tax code."""


def tax_code(text: str) -> bool:
    """Whether the last letter of an Italian tax code checks the others (decree of 23 December 1976)."""
    numbers = [int(char) if char.isdigit() else ord(char) - 65 for char in text[:15]]
    return chr(65 + (sum(_ODD[n] for n in numbers[0::2]) + sum(numbers[1::2])) % 26) == text[15]


@dataclass(frozen=True)
class Kind:
    """A kind of personal data.

    Args:
        words: what it is called, in the plural.
        needles: what stands wherever the pattern matches (`dataguard.detectors._needles`).
        pattern: how it is written; linear.
        is_one: whether what the pattern lets through is one, asked with and without separators; None where it is
            not even written like one, or is a test number.
        chance: the share of numbers written so that pass by chance; 0 for kinds without check digits.
    """

    words: str
    needles: tuple[str, ...]
    pattern: str
    is_one: Callable[[str, str], bool | None]
    chance: float = 0.0


def _email(text: str, _: str) -> bool | None:
    local, _, domain = text.lower().rpartition("@")
    made_up = domain in _RESERVED_DOMAINS or domain.endswith(_RESERVED_ENDS) or ".." in text
    return None if made_up or local in _ROLES or "example" in text.lower() else True


def _phone(text: str, bare: str) -> bool | None:
    digits = bare.removeprefix("+")
    if len(digits) > 13 and len(bare) == len(text):
        return None  # dates and times are written like this
    known = any(digits[:size] in _CALLING_CODES for size in (1, 2, 3))
    fictional = digits.startswith("1") and digits[4:7] == "555"
    return True if known and 8 <= len(digits) <= 15 and not fictional and len(set(digits)) > 3 else None


def _address(text: str, _: str) -> bool | None:
    parts = text.split(".")
    if (
        any(len(part) > 1 and part.startswith("0") for part in parts)
        or sum(len(part) > 1 for part in parts) < 3
    ):
        return None  # versions and numbers of sections have short parts
    try:
        address = ipaddress.IPv4Address(text)
    except ipaddress.AddressValueError:
        return None
    return True if address.is_global and not address.is_multicast else None


def _card(text: str, bare: str) -> bool | None:
    if not text[0].isdigit() or "." in text or "," in text or bare in _TEST_CARDS or len(set(bare)) < 5:
        return None
    first = int(bare[:4])
    long = len(bare) == 16 and (
        4000 <= first < 5000 or 5100 <= first < 5600 or 2221 <= first <= 2720 or 3528 <= first <= 3589
        or first == 6011 or 6200 <= first < 6300 or 6440 <= first < 6600
    )  # fmt: skip
    amex = len(bare) == 15 and bare[:2] in ("34", "37")
    return luhn(bare) if long or amex else None


def _dated(text: str) -> bool:
    """Whether a Chinese identity number has a day of birth in it."""
    return 1900 <= int(text[6:10]) <= 2030 and 1 <= int(text[10:12]) <= 12 and 1 <= int(text[12:14]) <= 31


_D = "[0-9]"
_MAYBE = ("", "[ -]")

KINDS: dict[str, Kind] = {
    "email": Kind(
        "e-mail addresses",
        ("[A-Za-z0-9._%+-]@[A-Za-z0-9-][A-Za-z0-9.-]",),
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}",
        _email,
    ),
    "phone": Kind(
        "telephone numbers",
        ("+[1-9][0-9 .(-][0-9 .()-]",),
        rf"(?-u:\B)\+[1-9][0-9]{{0,3}}(?:[ .-]?\(?[0-9]{{1,5}}\)?){{2,5}}{_B}",
        _phone,
    ),
    "ip-address": Kind(
        "public IP addresses",
        # Three parts of two digits at least: one of the inner two.
        tuple(
            f"{_D}.{_D * second}.{_D * third}.{_D}"
            for second in (1, 2, 3)
            for third in (1, 2, 3)
            if second + third > 2
        ),
        rf"{_B}(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}{_B}",
        _address,
    ),
    "iban": Kind(
        "account numbers (IBAN)",
        ("[A-Z][A-Z][0-9][0-9][ A-Z0-9][A-Z0-9][A-Z0-9][A-Z0-9]",),
        rf"{_B}[A-Z]{{2}}[0-9]{{2}}(?: ?[A-Z0-9]{{4}}){{2,7}}(?: ?[A-Z0-9]{{1,3}})?{_B}",
        lambda _, bare: (
            iban(bare) if bare[:2] in _IBAN_LENGTHS and len(bare) == _IBAN_LENGTHS[bare[:2]] else None
        ),
        1 / 97,
    ),
    "card": Kind(
        "payment card numbers",
        (
            *(f"[2-6]{_D * 3}{one}{_D * 4}{other}{_D * 4}" for one in _MAYBE for other in _MAYBE),
            *(f"3[47]{_D * 2}{one}{_D * 6}{other}{_D}" for one in _MAYBE for other in _MAYBE),
        ),
        rf"[.,]?{_B}(?:[2-6][0-9]{{3}}(?:[ -]?[0-9]{{4}}){{3}}|3[47][0-9]{{2}}[ -]?[0-9]{{6}}[ -]?[0-9]{{5}}){_B}"
        r"(?:[.,][0-9])?",
        _card,
        1 / 10,
    ),
    "cpf": Kind(
        "Brazilian tax numbers (CPF)",
        (f"{_D * 3}.{_D * 3}.",),
        rf"{_B}[0-9]{{3}}\.[0-9]{{3}}\.[0-9]{{3}}-[0-9]{{2}}{_B}",
        lambda _, bare: cpf(bare) if len(set(bare)) > 2 and bare != "12345678909" else None,
        1 / 100,
    ),
    "chinese-id": Kind(
        "Chinese identity numbers",
        (f"[1-9]{_D * 15}",),
        rf"{_B}[1-9][0-9]{{16}}[0-9Xx]{_B}",
        lambda text, _: chinese_id(text) if _dated(text) else None,
        1 / 11,
    ),
    "dni": Kind(
        "Spanish identity numbers (DNI, NIE)",
        (f"{_D * 7}[A-HJ-NP-TV-Z-]",),
        rf"{_B}(?:[0-9]|[XYZ]-?)[0-9]{{7}}-?[A-HJ-NP-TV-Z]{_B}",
        lambda _, bare: dni(bare) if bare not in ("12345678Z", "00000000T", "X1234567L") else None,
        1 / 23,
    ),
    "finnish-id": Kind(
        "Finnish identity codes",
        (f"[0-3]{_D}[01]{_D * 3}[-+A]{_D}",),
        rf"{_B}[0-3][0-9][01][0-9]{{3}}[-+A][0-9]{{3}}[0-9A-FHJ-NPR-Y]{_B}",
        lambda text, _: finnish_id(text) if text[:2] != "00" and text[2:4] != "00" else None,
        1 / 31,
    ),
    "tax-code": Kind(
        "Italian tax codes",
        (f"[A-Z][A-Z]{_D * 2}[A-EHLMPRST]{_D * 2}[A-Z]",),
        rf"{_B}[A-Z]{{6}}[0-9]{{2}}[A-EHLMPRST][0-9]{{2}}[A-Z][0-9]{{3}}[A-Z]{_B}",
        lambda text, _: tax_code(text) if text != "RSSMRA80A01H501U" else None,
        1 / 26,
    ),
}

NEEDLES = {name: kind.needles for name, kind in KINDS.items()}

FAILS = "?"
"""Behind the name of a kind: written like one, but its check digits do not hold."""

HIT = pl.Schema(
    {
        "value": pl.UInt32(),
        "kind": pl.String(),
        "match": pl.String(),
        "start": pl.UInt64(),
        "end": pl.UInt64(),
    }
)
_NO_HITS = HIT.to_frame()


def personal(sifted: Sifted) -> pl.DataFrame:
    """What is personal data in strings and, under names that end in FAILS, what is only written like it."""
    tables = [_NO_HITS]
    for name, kind in KINDS.items():
        found = sifted.located(name, kind.pattern)
        if len(found):
            tables.append(_judged(name, kind, found))
    return pl.concat(tables) if len(tables) > 1 else _NO_HITS


def _judged(name: str, kind: Kind, found: pl.DataFrame) -> pl.DataFrame:
    if found.is_empty():
        return _NO_HITS
    distinct = found["match"].unique()
    bare = distinct.str.replace_all(r"[ .()-]", "")
    verdict = {True: name, False: name + FAILS, None: None}
    kinds = [verdict[kind.is_one(text, plain)] for text, plain in zip(distinct, bare, strict=True)]
    judged = pl.DataFrame({"match": distinct, "kind": kinds}, schema={"match": pl.String, "kind": pl.String})
    return conform(found.join(judged.drop_nulls(), on="match", maintain_order="left", how="inner"), HIT)


def by_chance(passing: int, tried: int, share: float) -> float:
    """How likely so many or more of the numbers tried pass a check that this share of all numbers passes.

    The upper tail of the binomial distribution.
    """
    if passing <= tried * share:
        return 1.0
    odds = share / (1 - share)
    ways = lgamma(tried + 1) - lgamma(passing + 1) - lgamma(tried - passing + 1)
    term = exp(ways + passing * log(share) + (tried - passing) * log1p(-share))
    total = term
    for n in range(passing, tried):  # terms fall from here on, faster and faster
        term *= (tried - n) / (n + 1) * odds
        total += term
        if term < total * 1e-12:
            break
    return min(total, 1.0)
