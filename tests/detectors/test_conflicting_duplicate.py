"""Copies that contradict each other are told from copies that agree and from answers that may all be right."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dataguard.detectors.conflicting_duplicate import ConflictingDuplicate
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records

WORDS = [f"{a}{b}" for a in ("ba", "de", "ki", "lo", "mu", "na") for b in ("r", "s", "t", "n", "x")]
LONG = "an answer that goes on for a while and says what it has to say in its own good time"


def text(rng: random.Random, words: int = 30) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def judge(data: dict[str, list[Any]], **options: Any) -> Judgement:
    return judge_in_memory(ConflictingDuplicate(**options), [cut(records(data))])


def measures(judgement: Judgement) -> dict[tuple[str, str], float]:
    return {(measure.name, measure.group): measure.value for measure in judgement.measures}


def kinds(judgement: Judgement) -> list[tuple[str, str]]:
    return sorted(judgement.findings.select("group", "severity").rows())


def answers(prompts: list[str], responses: list[str]) -> Judgement:
    return judge({"prompt": prompts, "response": responses})


def test_labels_of_copies_equal_near_and_short() -> None:
    rng = random.Random(3)
    texts = [text(rng) for _ in range(100)]
    labels = ["good", "bad"] * 50
    for at in range(10):  # near copies, of which three are turned
        texts.append(f"{texts[at]} indeed")
        labels.append(labels[at] if at > 2 else labels[at + 1])
    texts += ["so so", "So so!", "fine", "fine"]
    labels += ["good", "bad", "good", "good"]
    found = judge({"text": texts, "label": labels})
    assert set(found.flagged["row"]) == {0, 1, 2, 100, 101, 102, 110, 111}
    # Of two that are nearly the same the words that differ may be the reason; of equal ones they are not.
    assert kinds(found) == [("label", "info")] * 3 + [("label", "low")]
    told = measures(found)
    assert told["conflict_share", ""] == told["conflict_share", "label"] == 1 / len(texts)
    assert ("several_answers_share", "") not in told


def test_a_near_copy_with_another_label_than_most_is_low_and_scored_worst() -> None:
    base = text(random.Random(1), 60)
    found = judge({"text": [f"{base} {word}" for word in WORDS[:5]], "label": ["a"] * 4 + ["b"]})
    assert kinds(found) == [("label", "low")]
    assert dict(found.flagged.select("row", "score").rows()) == {0: 0.2, 1: 0.2, 2: 0.2, 3: 0.2, 4: 0.8}
    assert measures(found)["conflict_share", ""] == 1 / 5


def test_labels_that_are_turned_to_one_side_are_worse_than_noise() -> None:
    rng = random.Random(5)
    originals = [text(rng) for _ in range(120)]
    labels = [rng.choice("abcd") for _ in originals]
    texts = [one for one in originals for _ in range(3)]
    turned = [label for label in labels for _ in range(3)]
    noise = [*turned]
    for at in range(0, 90, 3):
        turned[at] = "z"
        noise[at] = rng.choice([other for other in "abcd" if other != noise[at]])
    assert set(judge({"text": texts, "label": turned}).findings["severity"]) == {"medium"}
    assert set(judge({"text": texts, "label": noise}).findings["severity"]) == {"low"}
    # One against one nobody knows which was turned.
    split = judge({"text": originals * 2, "label": ["a"] * 120 + ["b"] * 120})
    assert set(split.findings["severity"]) == {"low"}


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("Yes, it does.", f"No. {LONG}", "yes or no"),
        ("4", "5", "short answer"),
        ("Positive.", "negative", "short answer"),
        (LONG, "I’m sorry, but as a careful assistant I can’t discuss that.", "refusal"),
        (LONG, "As an AI model, I am unable to do that for you.", "refusal"),
    ],
)
def test_answers_that_contradict(one: str, other: str, kind: str) -> None:
    found = answers(["does it hold", "Does it hold?", "does this"], [one, other, other])
    assert kinds(found) == [(kind, "low")]
    assert set(found.flagged["row"]) == {0, 1}


def test_answers_that_do_not() -> None:
    assert answers(["tell me"] * 3, [LONG, f"quite another {LONG[:40]}", "4"]).findings.is_empty()
    sorry = "I am sorry to hear it, and I cannot wait for better days, as an AI would say"
    assert answers(["tell me"] * 2, [sorry, LONG]).findings.is_empty()
    assert answers(["tell me"] * 2, ["4", " 4. "]).findings.is_empty()
    assert answers(["tell me", "tell you"], ["4", "5"]).findings.is_empty()
    several = answers(["tell me"] * 2 + ["no more"] * 2, [LONG, LONG[:50], "yes", "yes"])
    assert measures(several)["several_answers_share", ""] == 2 / 4
    assert measures(several)["conflict_share", ""] == 0


def test_an_open_question_is_mentioned_only() -> None:
    assert kinds(answers(["name an animal"] * 4, ["a cat", "a dog", "an owl", "a cat"])) == [
        ("short answer", "info")
    ]


def test_templates_differ_in_what_is_asked_and_odd_ones_out_are_found() -> None:
    rng = random.Random(2)
    template = text(rng, 80)
    prompts = [f"{template} {word}" for word in WORDS]
    assert answers(prompts, [f"it is {word}" for word in WORDS]).findings.is_empty()
    odd = answers(prompts, ["positive"] * 28 + ["negative"] * 2)
    assert kinds(odd) == [("short answer", "low")]
    assert odd.flagged.height == 30
    assert odd.clusters.height == 30
    assert set(odd.clusters["side"]) == {"input"}


def test_answers_are_no_part_of_what_is_compared() -> None:
    """The long answers make the records unlike as a whole, or alike although something else is asked."""
    rng = random.Random(9)
    asked, said = text(rng, 20), text(rng, 300)
    found = answers([asked, asked, text(rng, 20)], [f"Yes. {said}", f"No. {text(rng, 300)}", f"No. {said}"])
    assert set(found.flagged["row"]) == {0, 1}


def test_preferences_that_are_turned() -> None:
    data = {
        "prompt": ["hi"] * 4,
        "chosen": ["good day", "go away", "good day", "hm"],
        "rejected": ["go away", "good day", "nothing", "ha"],
    }
    found = judge(data)
    assert kinds(found) == [("preference", "low")]
    assert set(found.flagged["row"]) == {0, 1}


def test_answers_inside_lists_and_of_several_columns() -> None:
    turns = [[{"role": "assistant", "content": word}] for word in ("go away", "good day")]
    found = judge({"prompt": ["hi"] * 2, "chosen": turns, "rejected": turns[::-1]})
    assert set(found.flagged["row"]) == {0, 1}
    labels = judge({"text": ["hi"] * 3, "label": ["a", "a", "a"], "category": [1, 2, None]})
    assert set(labels.flagged["row"]) == {0, 1, 2}


def test_nothing_to_judge_is_said() -> None:
    assert "label or an answer" in judge({"text": ["", "a"], "label": ["x", None]}).not_applicable
