"""The labelled set: messages to a shop's help desk, five labels and six numeric features.

Two hidden quantities (how much trouble a ticket is, how good a customer writes it) drive all six features, so that
these are correlated; squares and cubes of bell-shaped sums make them skewed, with tails that end.
"""

from __future__ import annotations

from grammar import Dice, say
from tongues import EMOJI, TONGUES

Features = dict[str, float | int]

FEATURES = ("first_reply_min", "resolve_hours", "messages", "order_value", "tenure_days", "satisfaction")

# label: share in percent, how much trouble it is (in deviations), what people write
LABELS: dict[str, tuple[int, float, tuple[str, ...]]] = {
    "billing": (
        22,
        0.2,
        (
            "I was charged twice for the {object}, once in {month} and again on {weekday}.",
            "The invoice for {n} crowns lists a {object} I never ordered.",
            "My discount for the {month} sale is missing from the bill.",
            "Why does the receipt say {city} when I paid in {city}?",
            "The refund of {n} crowns for the {adj} {object} has not reached my bank.",
            "My card was declined although {n} crowns were reserved on it.",
            "Please issue invoice {n} in the name of {name} {surname} with the tax number.",
            "The price changed from {n} to {m} crowns between basket and payment.",
            "I still pay {m} crowns each {weekday}, yet I ended the plan in {month}.",
            "The gift voucher worth {n} crowns is not accepted for {dish}.",
            "You billed shipping to {country}; the parcel went to the next street.",
            "Can I pay the {n} crowns in {months} instalments?",
            "There is a fee of {m} crowns on my statement that nobody explained.",
            "The credit note says {object} but should say {object}.",
        ),
    ),
    "delivery": (
        24,
        0.3,
        (
            "The {object} has been 'out for delivery' since {weekday}.",
            "My parcel went to {city} instead of {city}.",
            "The courier left the {object} behind the {place}, where the rain got it.",
            "Tracking stopped in {country} {months} days ago.",
            "The box arrived open and the {object} was gone.",
            "I ordered {n} jars of {spice}; only {m} came.",
            "Nobody rang on {weekday}, yet the card says '{name} not at home'.",
            "Can you hold the {object} until I am back from {city}?",
            "The driver would not carry the {adj} {object} past the {place}.",
            "Customs in {country} asks for a paper about the {object}.",
            "Please change the address: the {place} is closed, use the {place}.",
            "Half of the {vegetable} was frozen, the other half squashed.",
            "The pick-up point at the {place} has no record of order {n}{m}.",
            "{name} promised it for {weekday}, and it is {weekday} again.",
        ),
    ),
    "account": (
        18,
        -0.3,
        (
            "I cannot log in since {month}, when I changed my name to {surname}.",
            "The reset link for my {hobby} password goes to an address in {country}.",
            "Please delete my profile of {month} and what you know about my {hobby}.",
            "My daughter {name} and I share login {m}, can {name} have another?",
            "The site says my birthday is in {month}; it is in {month}.",
            "After {m} wrong tries I am locked out until {weekday}.",
            "How do I add {name} {surname} as a second user?",
            "I get the newsletter on {subject} {months} times although I signed off.",
            "The app greets me as {name}, who is my {job}.",
            "Merge my two customer numbers, {n} and {m}{n}, please.",
            "My wish list with the {adj} {object} has vanished.",
            "I want to see the {n} lines of data on my {object}.",
            "The code for signing in takes {m} days when I am in {city}.",
            "Change my {weekday} mails from English to what is spoken in {country}.",
        ),
    ),
    "technical": (
        21,
        0.5,
        (
            "The app freezes for {m} seconds when I search for a {object}.",
            "Version {m}.{k} shows {vegetable} upside down.",
            "Error {n} appears as soon as I tap on {dish}.",
            "Photos of the {object} do not load on my old tablet.",
            "The map of {city} puts your shop in the {adj} {place}.",
            "Printing the label for the {object} cuts off the last {months} letters.",
            "After the update the {adj} button next to the {object} does nothing.",
            "My radio {object} loses its connection near the {place}.",
            "The PDF on {subject} opens as {n} empty pages.",
            "Sorting by price puts {n} before {m}.",
            "The {object} beeps {months} times and then switches itself off.",
            "Sound is missing for {m} minutes from the {animal} film.",
            "The battery of the {object} lasts {m} minutes, not {n}.",
            "Your chat window hides the {object} on a phone held in {weather}.",
        ),
    ),
    "feedback": (
        15,
        -0.6,
        (
            "Just a line to say that the {object} is {adj} and I love it.",
            "{name} on the phone was {feeling} and very kind.",
            "Please bring back the {dish} you sold in {month}.",
            "Have you thought of selling things for {hobby}?",
            "The new shop at the {place} in {city} is a delight.",
            "Your page on {subject} taught me more than school did.",
            "The wrapping with the {animal} made my {job} laugh.",
            "An idea: sort the {vegetable} by season.",
            "The catalogue smells of {spice}, keep it that way.",
            "I would pay more for a {object} that is not {adj}.",
            "The survey took {m} minutes; {months} questions would do.",
            "You are the only shop in {country} with a real {job}.",
            "My {weekday} visit was spoiled by {trouble}, but the {dish} was good.",
            "Why no {adj} {object} this year? We all miss it.",
        ),
    ),
}

_HELLO = (
    "Hello,",
    "Hi {name},",
    "Good morning!",
    "Dear team,",
    "To whom it may concern:",
    "Hey there,",
    "Hi again,",
    "",
)
_MORE = (
    "I bought it for my {job} in {season}.",
    "This is about order {n}-{m}.",
    "Call before {weekday}, I have {hobby} then.",
    "I only noticed now because we had {trouble}.",
    "From the same shop the {object} is {adj}.",
    "The same thing happened to {name} in {city}.",
    "I write on the advice of my neighbour, a {job}.",
    "I already spoke to {name} in {month}.",
    "It is a present for {name}, who is {feeling}.",
    "I have been a customer since {year}.",
    "If it matters, there was {weather} that day.",
    "Without it I cannot finish {project}.",
    "Last time it took {months} letters in {month}.",
    "{story}",
    "My mother reads your page in {country}.",
    "Please be quick, as the {place} closes at {m}.",
    "I noticed while cooking {dish}.",
    "",
)
_ASK = (
    "What can {name} do?",
    "By {weekday}, please answer.",
    "Could {name} look into it?",
    "It left me {feeling}, to be honest.",
    "A reply before {weekday} is enough.",
    "Does that take until {month}?",
    "{name} can send a photo of the {object}.",
    "No hurry, {month} is early enough.",
    "Otherwise I will ask the {job}.",
    "Tell me by {weekday} what you need.",
    "{name} spoke of a form, or does this do?",
    "Would a {object} instead be possible?",
    "Call me after {hobby}, around seven.",
    "",
)
_BYE = (
    "Thanks, {name}",
    "Regards, {name} {surname}",
    "{name}",
    "– {name}, {city}",
    "Many thanks in advance!",
    "Bye",
    "",
)


def text_of(dice: Dice, label: str) -> str:
    """Return a message that belongs to the label; a few use emoji, a few end in another language."""
    parts = [
        dice.pick(_HELLO),
        dice.pick(LABELS[label][2]),
        dice.pick(_MORE),
        dice.pick(_ASK),
        dice.pick(_BYE),
    ]
    numbers = {"n": dice.between(20, 990), "m": dice.between(3, 19), "k": dice.below(9)}
    text = say(dice, " ".join(part for part in parts if part), year=dice.between(1998, 2023), **numbers)
    if dice.chance(8):
        text += " " + dice.pick(EMOJI).split(" ")[0]
    if dice.chance(4):
        cities, sentences = dice.pick(tuple(TONGUES.values()))
        aside = dice.pick(sentences).format(
            city=dice.pick(cities), time=f"{dice.between(8, 19)}:30", n=dice.between(5, 10)
        )
        text = f"{text} ({aside})" if dice.chance(50) else f"{aside} {text}"
    return text


def label_of(dice: Dice) -> str:
    """Roll a label, each as often as its share says."""
    roll = dice.below(100)
    for label, (share, _, _) in LABELS.items():
        roll -= share
        if roll < 0:
            return label
    raise AssertionError("the shares of LABELS add up to 100")


def features_of(dice: Dice, label: str) -> Features:
    """Roll the six numbers that belong to a ticket with this label."""
    trouble = dice.bell() + LABELS[label][1]
    worth = dice.bell() + 0.2 * trouble  # dear things are worth a complaint

    def curve(middle: float, slope: float, driver: float, power: int) -> float:
        base, result = max(middle + slope * (driver + dice.bell()), 0.1), 1.0
        for _ in range(power):  # products are the same on every machine, libm's pow need not be
            result *= base
        return result

    return {
        "first_reply_min": round(3 + 5 * curve(1.9, 0.28, trouble, 3), 1),
        "resolve_hours": round(0.2 + curve(2.0, 0.28, trouble, 3), 2),
        "messages": 1 + int(curve(1.8, 0.32, trouble, 2)),
        "order_value": round(5 + 3 * curve(2.2, 0.32, worth, 3), 2),
        "tenure_days": 10 + int(20 * curve(2.6, 0.36, worth, 3)),
        "satisfaction": round(5 - 0.25 * curve(1.7, 0.28, trouble, 2), 2),
    }


def far_off(dice: Dice) -> Features:
    """Roll numbers that lie beyond what tickets show, in all features at once and no two rows alike."""
    return {
        "first_reply_min": dice.between(2200, 4100) / 10,
        "resolve_hours": dice.between(9000, 19000) / 100,
        "messages": dice.between(17, 31),
        "order_value": dice.between(38000, 79000) / 100,
        "tenure_days": dice.between(2600, 4700),
        "satisfaction": dice.between(100, 190) / 100,
    }


def ticket(dice: Dice) -> dict[str, object]:
    """Roll one record of the labelled set, without its id, source and split."""
    label = label_of(dice)
    return {"text": text_of(dice, label), "label": label, **features_of(dice, label)}
