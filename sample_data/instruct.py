"""The instruction-tuning set: one function per kind of task, each rolling (instruction, input, output)."""

from __future__ import annotations

from collections.abc import Callable

from grammar import Dice, say, word
from tasks import arithmetic, code, conversion, extraction, question_answer, sorting
from tongues import Draft, emoji, symbols, translation, which_language


def recipe(dice: Dice) -> Draft:
    """A recipe from what is at hand, or a change to one."""
    dish, vegetable, staple = (word(dice, slot) for slot in ("dish", "vegetable", "staple"))
    spice, herb, cook = (word(dice, slot) for slot in ("spice", "herb", "cook"))
    steps = dice.some(
        (
            f"toast the {spice} in a dry pan until the kitchen smells of it",
            f"rinse {dice.between(80, 400)} g of {staple} twice",
            f"stir in a spoon of {{spice}} and a handful of {herb}",
            "season, taste, and wait for a minute",
            f"fold the {staple} into the pot and put a lid on",
            f"scatter {herb} on top",
            f"warm a {{adj}} dish at {dice.between(12, 22) * 10} °C",
            "deglaze with a splash of cider vinegar",
            "{cook} {vegetable} separately, they need longer",
            f"chill it for {dice.between(2, 9)} hours if {{weather}} is not cold enough",
            "grate {vegetable} over it, as they do in {city}",
            f"loosen with {dice.between(2, 12)} spoons of stock",
            "serve with {dish}",
        ),
        dice.between(3, 5),
    )
    steps.insert(dice.below(2), f"{cook} the {vegetable} for {dice.between(4, 35)} minutes")
    ask = dice.pick(
        (
            "Suggest a way to cook {v} with {s}.",
            "I have {v}, {s} and some {h}. What can I make for {n} people?",
            "{opener} give me a recipe for {d} that a {job} could follow.",
            "{name} does not eat nuts. Adapt {d} so that it uses {v} and {p}.",
            "How would a cook from {city} prepare {v}?",
        )
    )
    question = say(dice, ask, v=vegetable, s=staple, h=herb, d=dish, p=spice, n=dice.between(2, 9))
    listed = "\n".join(f"{i}. {step}." for i, step in enumerate(steps, 1))
    lead = dice.pick(
        (
            "Try this version of {d}.",
            "A {job} from {city} does it so.",
            "Like {d}, only better:",
            "Serves {n}.",
        )
    )
    answer = say(dice, f"{lead}\n{listed}", d=dish, n=dice.between(2, 6))
    return question, "", answer


def travel(dice: Dice) -> Draft:
    """Plans, tips and comparisons for real towns, with made-up sights."""
    city, other, days = *dice.some(_CITIES, 2), dice.between(2, 6)
    ask = dice.pick(
        (
            "Plan {n} days in {a} for a {job} who loves {hobby}.",
            "{a} or {b} in {month}? I am keen on {subject}.",
            "What should {name} see in {a} besides the {place}?",
            "We have one afternoon in {a} and {weather}. Ideas?",
            "Write a postcard from {a} to a {job} at home.",
        )
    )
    question = say(dice, ask, a=city, b=other, n=days)
    if "Plan" in question:
        lines = [say(dice, "Day {i}: {sight}; {tip}.", i=i) for i in range(1, days + 1)]
        return question, "", "\n".join(lines)
    lead = dice.pick(
        ("Go for {sight}.", "I would start with {sight}.", "People praise {sight}.", "First, {tip}.")
    )
    rest = dice.pick(
        ("Then {tip}, and {tip}.", "If there is time left, {tip}.", "Compared with {b}, there is {sight}.")
    )
    return question, "", say(dice, f"{lead} {rest} {{story}}", b=other)


_CITIES = (
    "Aarhus",
    "Bologna",
    "Cusco",
    "Dakar",
    "Ghent",
    "Hobart",
    "Jaipur",
    "Kyoto",
    "Malmö",
    "Oaxaca",
    "Quito",
    "Sibiu",
)


def summary(dice: Dice) -> Draft:
    """A short report with an order, a number and a doubt; the output keeps the three."""
    who, job, city, project = (word(dice, slot) for slot in ("name", "job", "city", "project"))
    trouble, month, cost = word(dice, "trouble"), word(dice, "month"), dice.between(3, 900) * 100
    subject, place = word(dice, "subject"), word(dice, "place")
    middle = dice.some(
        (
            f"The work began in {month} beside the {place}.",
            f"{who}, a {job}, had asked for it for {{months}} years.",
            "{story}",
            f"Pupils who study {subject} helped on every {{weekday}}.",
            f"A first attempt failed because of {trouble}.",
            "Guests at the opening ate {dish} in spite of {weather}.",
            "Neighbours from {country} sent a {adj} {object} as a present.",
            "Most of the money came from a lottery run by the {job}.",
            f"{who} said it made them {{feeling}}.",
            "Builders dug up a {adj} {object} and a coin from {city}.",
            "A {animal} delayed the digging until {season}.",
            "{story}",
        ),
        dice.between(3, 5),
    )
    first = dice.pick(
        (
            f"The town of {city} has paid {cost} crowns for {project}.",
            f"{project} is the newest thing to see in {city}, and it cost {cost} crowns.",
            f"After long talks the council of {city} agreed on {project} for {cost} crowns.",
        )
    )
    last = dice.pick(
        (
            "Not everyone is {feeling}: some fear {trouble}.",
            "Whether it survives {season} is open.",
            "A second one may follow in {month}.",
            "{city} now wants one as well.",
            "Critics would rather have paid for a {place}.",
            "{ending}",
        )
    )
    report = say(dice, " ".join([first, *middle, last]))
    asks = (
        "Summarise the report in one sentence.",
        "{opener} give the gist for a {job}.",
        "TL;DR?",
        "What happened, and what did it cost?",
    )
    short = dice.pick(
        ("{p} in {c} cost {n} crowns.", "{c} spent {n} crowns on {p}.", "For {n} crowns, {c} got {p}.")
    )
    return say(dice, dice.pick(asks)), report, say(dice, short, p=project, c=city, n=cost)


def email(dice: Dice) -> Draft:
    """Write, answer or reword a message."""
    reader, writer, request = word(dice, "name"), word(dice, "name"), word(dice, "request")
    why = word(dice, "reason")
    body = dice.pick(
        (
            "would you be able to {q}? {why}, and I would rather not wait until {month}.",
            "I hope your work on {subject} goes well. Please {q}, because {why}.",
            "a small favour: {q}. {story}",
            "since {why}, it would help me greatly if you could {q}. I will bring {dish} as a thank-you.",
            "you may have heard that {why}. Could you {q} before {weekday}?",
        )
    )
    letter = (
        f"Dear {reader},\n"
        + say(dice, body, q=request, why=why)
        + "\n"
        + say(dice, "{closing},")
        + f"\n{writer}"
    )
    if dice.chance(45):
        blunt = dice.pick(("{r}, {q}. {why}.", "{q}, and soon. {why}. – {w}", "you have to {q}. {story}"))
        ask = say(dice, "Make this message {tone}.")
        return ask, say(dice, blunt, r=reader, q=request, why=why, w=writer), letter
    return say(dice, "{opener} write to {r} so that they {q}.", r=reader, q=request), "", letter


def opinion(dice: Dice) -> Draft:
    """Praise or complaint, to be told apart; whoever answers in a sentence says it of this writer or reader."""
    good = dice.chance(50)
    text = say(dice, "{praise} {story}" if good else "{grumble} {story}")
    ask, yes, no = dice.pick(
        (
            ("Is this review positive or negative?", "Positive.", "Negative."),
            ("Classify the sentiment of the text.", "Sentiment: positive", "Sentiment: negative"),
            ("Would the writer come again?", "Very likely.", "Hardly."),
            (
                "{opener} judge the mood of this note from {c}.",
                "Somebody in {c} is pleased.",
                "It is a complaint about {c}.",
            ),
            (
                "Should the {j} worry about this comment?",
                "No, the {j} can be proud of it.",
                "Yes, the {j} should call them back.",
            ),
        )
    )
    fill = {"c": word(dice, "city"), "j": word(dice, "job")}
    return say(dice, ask, **fill), text, say(dice, yes if good else no, **fill)


def story(dice: Dice) -> Draft:
    """A tiny tale with given ingredients."""
    thing, animal, place = word(dice, "object"), word(dice, "animal"), word(dice, "place")
    ask = dice.pick(
        (
            "Tell a short story about a {t}, a {a} and the {p}.",
            "{opener} invent a bedtime story in which a {a} guards a {t}.",
            "Begin a tale at the {p}. It must mention a {t}.",
            "Write how a {job} became {feeling}. Use the words {t} and {a}.",
        )
    )
    tale = ["Once, at the {p}, a {a} sat beside a {adj} {t}.", *["{story}"] * dice.between(2, 3), "{ending}"]
    fill = {"t": thing, "a": animal, "p": place}
    return say(dice, ask, **fill), "", say(dice, " ".join(tale), **fill)


def ideas(dice: Dice) -> Draft:
    """A list of suggestions, one slot a list."""
    slot, noun = dice.pick(
        (
            ("hobby", "hobbies to try"),
            ("subject", "topics for an evening talk"),
            ("project", "projects for a small town"),
            ("dish", "dishes for a long table"),
            ("sight", "stops for a day out"),
            ("request", "things to put on a to-do list"),
            ("tip", "pieces of advice for a traveller"),
            ("object", "props for a stage play"),
        )
    )
    items: list[str] = []
    goal = dice.between(3, 6)
    while len(items) < goal:
        item = say(dice, word(dice, slot))
        if item not in items:
            items.append(item)
    ask = dice.pick(
        (
            "List {n} {x} for a {job} in {city}.",
            "Give me {n} {x} that suit {weather}.",
            "{name} feels {feeling}: {n} {x}?",
        )
    )
    mark = dice.pick(("- ", "• ", "* ", "→ "))
    return say(dice, ask, n=goal, x=noun), "", "\n".join(mark + item for item in items)


def advice(dice: Dice) -> Draft:
    """Open questions on a hobby, a mood or a mishap."""
    hobby, trouble, subject = word(dice, "hobby"), word(dice, "trouble"), word(dice, "subject")
    ask = dice.pick(
        (
            "How do I start with {h} if I only have {months} free evenings?",
            "{t} ruined my {weekday}. What would a {job} do?",
            "Why would a {job} care about {s}?",
            "I feel {feeling} about giving a talk on {s}. Any advice?",
            "Explain {s} to a child who likes every {animal}.",
            "What do {h} and {s} have in common?",
        )
    )
    parts = dice.some(
        (
            "Begin small: borrow a {object} and practise near the {place}.",
            "Ask a {job}; most are {feeling} when somebody wants to hear about {s}.",
            "Keep a {adj} notebook and write down one thing each {weekday}.",
            "Think of a {animal} in {weather}: it takes its time.",
            "Much of {h} is waiting, so bring {dish}.",
            "Set aside {months} hours in {season} and tell {name} about your plan.",
            "It is fine to stop; {t} happens to everyone in {city}.",
            "Compare it with {subject}, which looks harder than it is.",
            "The {place} of {city} runs a free course every {month}.",
            "Swap skills: you teach {hobby}, {name} teaches {s}.",
            "Read what a {job} from {country} wrote about it, then disagree.",
            "Reward yourself with {dish} after each try.",
            "Start where {h} is easiest, in {weather}, with a {adj} {object}.",
        ),
        dice.between(2, 4),
    )
    fill = {"h": hobby, "t": trouble, "s": subject}
    return say(dice, ask, **fill), "", say(dice, " ".join(parts), **fill)


# How many of every hundred records each kind makes up.
KINDS: tuple[tuple[int, Callable[[Dice], Draft]], ...] = (
    (8, arithmetic),
    (5, conversion),
    (9, recipe),
    (7, travel),
    (10, summary),
    (9, email),
    (8, question_answer),
    (5, opinion),
    (5, story),
    (4, ideas),
    (3, sorting),
    (4, extraction),
    (4, code),
    (5, advice),
    (6, translation),
    (2, which_language),
    (3, emoji),
    (3, symbols),
)


def draft(dice: Dice) -> Draft:
    """Roll one record of any kind, each as often as its share says."""
    roll = dice.below(100)
    for share, kind in KINDS:
        roll -= share
        if roll < 0:
            return kind(dice)
    raise AssertionError("the shares of KINDS add up to 100")
