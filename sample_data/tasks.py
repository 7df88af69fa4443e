"""Tasks with an answer that can be checked: sums, units, facts, lists, fields, code."""

from __future__ import annotations

import json

from grammar import Dice, say, word
from tongues import Draft


def arithmetic(dice: Dice) -> Draft:
    """A sum, difference, product, share or percentage, bare or told as a story."""
    a, b, c = dice.between(12, 980), dice.between(3, 95), dice.between(2, 12)
    thing = word(dice, "object") + "s"
    cases: tuple[tuple[str, str], ...] = (
        (
            f"A {{job}} has {a} {thing}, sells {min(a, b)} at the {{place}} and then buys {c} more. How many are left?",
            f"{a} - {min(a, b)} + {c} = {a - min(a, b) + c}, so {a - min(a, b) + c} {thing} are left.",
        ),
        (
            f"Share {a * c} g of {{vegetable}} fairly among {c} cooks in {{city}}.",
            f"{a * c} ÷ {c} = {a}: everybody gets {a} g.",
        ),
        (f"What is {a} × {c} − {b}?", f"{a} × {c} = {a * c}, and {a * c} − {b} = {a * c - b}."),
        (
            f"A {{object}} costs {a} crowns. With {c} % off, what does {{name}} pay, and how much is saved?",
            f"{c} % of {a} is {a * c / 100:g}, so the price falls to {a - a * c / 100:g} crowns.",
        ),
        (
            f"{{name}} walks {c} km to the {{place}} each {{weekday}}. How far is that in {b} weeks?",
            f"{c} km × {b} = {c * b} km.",
        ),
        (
            f"Is {a + b} larger than {a * 2}? Show the difference.",
            f"{'Yes' if b > a else 'No'}: {a + b} − {a * 2} = {b - a}.",
        ),
        (
            f"The {{place}} opened in {1000 + a} and closed after {b} years. When was that?",
            f"It closed in {1000 + a + b}, because {1000 + a} + {b} = {1000 + a + b}.",
        ),
    )
    question, answer = dice.pick(cases)
    return say(dice, question), "", answer


def conversion(dice: Dice) -> Draft:
    """A quantity in another unit, by exact factors only."""
    source, target, factor = dice.pick(
        (
            ("kilometres", "metres", 1000),
            ("hours", "minutes", 60),
            ("days", "hours", 24),
            ("inches", "centimetres", 2.54),
            ("miles", "kilometres", 1.609344),
            ("weeks", "days", 7),
            ("litres", "millilitres", 1000),
            ("feet", "inches", 12),
            ("pounds", "grams", 453.59237),
            ("dozen", "pieces", 12),
            ("hectares", "square metres", 10000),
            ("kΩ", "Ω", 1000),
            ("bar", "kilopascals", 100),
            ("nautical miles", "metres", 1852),
        )
    )
    amount = dice.between(2, 480)
    result = f"{amount * factor:,.6g}" if isinstance(factor, float) else f"{amount * factor:,}"
    scene = dice.pick(
        (
            "The label on the {adj} {object} says {n} {a}. Convert that to {b}.",
            "How many {b} are {n} {a}? The {job} needs it for {project}.",
            "{name} read {n} {a} on the sign by the {place}. What is it in {b}?",
            "Give {n} {a} in {b}, and say how you got there.",
            "My notes from {city} use {n} {a}, but the form wants {b}.",
        )
    )
    answer = dice.pick(
        ("{n} {a} = {r} {b}.", "One gives {f} {b}, so {n} {a} give {r} {b}.", "{r} {b} (factor {f}).")
    )
    fill = {"n": amount, "a": source, "b": target, "r": result, "f": factor}
    return say(dice, scene, **fill), "", answer.format(**fill)


def coined(dice: Dice) -> str:
    """Return a made-up proper name that can be pronounced."""
    middle = word(dice, "link") + word(dice, "core") if dice.chance(60) else ""
    return word(dice, "head") + word(dice, "core") + middle + word(dice, "tail")


def question_answer(dice: Dice) -> Draft:
    """A passage on a town that does not exist and a question it answers."""
    town, river, founder = coined(dice), coined(dice), f"{word(dice, 'name')} {word(dice, 'surname')}"
    year, people = dice.between(1180, 1985), dice.between(240, 98000)
    animal, dish, craft = word(dice, "animal"), word(dice, "dish"), word(dice, "job")
    facts = (
        (f"{town} lies on the {river}.", f"Which river does {town} lie on?", f"The {river}."),
        (f"{founder}, a {craft}, founded it in {year}.", f"Who founded {town}?", f"{founder}, a {craft}."),
        (
            f"It was first named in a letter of {year + 7}.",
            f"When was {town} first named?",
            f"In {year + 7}.",
        ),
        (f"About {people} people live there.", f"How many people live in {town}?", f"About {people}."),
        (f"The coat of arms shows a {animal}.", f"What is on the coat of arms of {town}?", f"A {animal}."),
        (f"Visitors come for the {dish}.", f"What do visitors to {town} come for?", f"The {dish}."),
    )
    told = dice.some(facts, dice.between(3, 5))
    passage = say(dice, " ".join([*(fact for fact, _, _ in told), "{story}"]))
    _, question, answer = dice.pick(told)
    return say(dice, question), passage, say(dice, answer)


def sorting(dice: Dice) -> Draft:
    """Words or numbers to put in order, count or filter."""
    slot = dice.pick(("object", "animal", "city", "vegetable", "herb", "adj", "job"))
    items = list(dict.fromkeys(word(dice, slot) for _ in range(dice.between(5, 9))))
    ask, answer = dice.pick(
        (
            ("Sort these alphabetically.", ", ".join(sorted(items))),
            ("Sort by length, shortest first.", ", ".join(sorted(items, key=lambda item: (len(item), item)))),
            ("Reverse the order of the list.", ", ".join(reversed(items))),
            ("Which entry is the longest?", max(items, key=lambda item: (len(item), item))),
            ("How many entries are there, and what is the last?", f"{len(items)}; the last is {items[-1]}."),
        )
    )
    return ask, ", ".join(items), answer


def extraction(dice: Dice) -> Draft:
    """Fields pulled out of a sentence as JSON."""
    fields = {
        "name": f"{word(dice, 'name')} {word(dice, 'surname')}",
        "item": word(dice, "object"),
        "count": dice.between(2, 60),
        "city": word(dice, "city"),
        "day": word(dice, "weekday"),
    }
    text = dice.pick(
        (
            "{name} of {city} ordered {count} pieces of the {adj} {item} for {day}.",
            "On {day} we ship {count} × {item} to {name} in {city}. {story}",
            "Note from the {job}: {count} times '{item}', {name}, {city}, not before {day}.",
        )
    )
    wanted = dice.some(tuple(fields), dice.between(3, 5))
    answer = json.dumps({key: fields[key] for key in wanted}, ensure_ascii=False)
    return f"Return {', '.join(wanted)} as JSON.", say(dice, text, **fields), answer


def code(dice: Dice) -> Draft:
    """Small programs in four languages, with names and numbers that change."""
    noun = word(dice, "object").replace(" ", "_")
    key = dice.pick(("price", "weight", "age", "height", "score", "depth", "rank"))
    n, m = dice.between(2, 90), dice.between(2, 12)
    ask, answer = dice.pick(
        (
            (
                f"Write a Python function that keeps each {noun} whose {key} is above {n}.",
                f"def heavy_{noun}s({noun}s):\n    return [item for item in {noun}s if item['{key}'] > {n}]",
            ),
            (
                f"SQL: the {m} {noun} rows with the largest {key}.",
                f"SELECT * FROM {noun} ORDER BY {key} DESC LIMIT {m};",  # noqa: S608 - a text to learn from, never run
            ),
            (
                f"In Python, split a list of {noun} records into chunks of {m}.",
                (
                    f"def chunks({noun}s, size={m}):\n    for start in range(0, len({noun}s), size):\n"
                    f"        yield {noun}s[start:start + size]"
                ),
            ),
            (
                f"How do I count the lines with '{noun}' in all .{key} files in bash?",
                f"grep -c '{noun}' -- *.{key}",
            ),
            (
                f"JavaScript: the average {key} of an array called {noun}s, rounded to {m % 4} digits.",
                (
                    f"const mean = {noun}s.reduce((sum, it) => sum + it.{key}, 0) / {noun}s.length;\n"
                    f"console.log(mean.toFixed({m % 4}));"
                ),
            ),
            (
                f"Give a Python dataclass for a {noun} with a {key} that defaults to {n}.",
                f"@dataclass(frozen=True)\nclass {noun.title()}:\n    {key}: int = {n}",
            ),
            (
                f"SQL: mean {key} per {noun}, only groups of at least {m}.",
                f"SELECT {noun}, AVG({key}) FROM items GROUP BY {noun} HAVING COUNT(*) >= {m};",  # noqa: S608 - as above
            ),
        )
    )
    context = say(dice, "{job}, {city}: it is for {project}.") if dice.chance(60) else ""
    return ask, context, answer
