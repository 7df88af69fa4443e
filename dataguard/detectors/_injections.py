"""How text is written that speaks to a model where data should stand, and to texts about that.

The phrasing is that of published attacks: Greshake et al., "Not what you've signed up for" (AISec 2023); Perez and
Ribeiro, "Ignore Previous Prompt" (2022); OWASP LLM01. The tokens are those of the templates that models are published
with (ChatML, Llama 2 and 3, Gemma, Mistral, DeepSeek, Alpaca).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from dataguard.detectors._matches import Sifted
from dataguard.detectors._needles import anycase
from dataguard.findings import conform


class Look(NamedTuple):
    """A pattern that texts are asked about.

    Attributes:
        needles: what stands wherever the pattern matches (`dataguard.detectors._needles`).
        pattern: linear.
    """

    needles: tuple[str, ...]
    pattern: str


_BACK = r"(?:previous(?:ly)?|prior|above|preceding|earlier|foregoing|initial|original|past|existing|system)"
_TOLD = r"(?:instruction|prompt|direction|directive|guideline|command)s?"
_MANY = r"(?:(?:all|any|every|each|of|the|your|my|our|these|those|other|and|or|this|everything)\s+){0,4}"
_ENGLISH = (
    # A verb, a word that points back, and what was told: all three, as each alone is ordinary.
    rf"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget|bypass|override|neglect)\s+{_MANY}{_BACK}\s+"
    rf"(?:(?:given|user|and|or|text|system|developer)\s+){{0,2}}{_TOLD}\b"
    r"|\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:the\s+|your\s+|my\s+)?(?:instruction|direction|prompt|rule)s?"
    r"\s+(?:above|before|given|so\s+far|you\s+(?:were|have\s+been|received|got))\b"
    r"|\b(?:reveal|print|show|repeat|output|leak|disclose)\s+(?:me\s+)?(?:all\s+of\s+)?your\s+(?:entire\s+|full\s+)?"
    r"(?:system|initial|original|hidden|secret)\s+(?:prompt|instructions|message)"
)
_WIDE = ("[\u0085\u00a0]", "[\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
"""White space beyond ASCII's, by bytes."""
_NEXT = r"[AEOTYMPFISDRaeotympfisdr\s][LNVAFHOYUTRBXSIlnvafhoyutrbxsi\s]"
"""How a word begins that may stand behind the verb."""
OVERRIDES: tuple[Look, ...] = (
    Look(
        (
            *(anycase(verb) + r"\s" + _NEXT for verb in ("ignore", "gnoring", "forget", "bypass", "verride")),
            *map(anycase, ("isregard", "neglect ")),
            *(
                end + r"\s" + anycase(word)
                for word in ("prompt", "instruct", "message")
                for end in ("[TINDRtindr][AEae][MLNTmlnt]", r"\s")
            ),
        ),
        rf"(?i-u:{_ENGLISH})",
    ),
    Look(
        (*map(anycase, ("herige", "vorige", "obige", "rühere", "ngegang", "rgehend")),),
        (
            r"(?i)\b(?:ignoriere?n?|vergiss|vergessen|missachten?)\s+(?:sie\s+)?(?:(?:alle[nr]?|sämtliche|die|deine|ihre)\s+){0,3}"
            r"(?:bisherigen?|vorherigen?|vorigen?|obigen?|früheren?|vorangegangenen?|vorhergehenden?)\s+(?:anweisung|instruktion"
            r"|befehl|vorgabe|regel)[a-z]*"
        ),
    ),
    Look(
        (
            *map(anycase, ("précéd", "ntérieu", "ci-de")),
            *(end + anycase("initial") for end in (r"[sS]\s", r"\s\s", *_WIDE)),
        ),
        (
            r"(?i)\b(?:ignore[rz]?|oublie[rz]?)\s+(?:toutes\s+)?(?:les|tes|vos)\s+(?:instructions|consignes|directives|ordres)\s+"
            r"(?:précédent|antérieur|ci-dessus|initial)[a-zé]*"
        ),
    ),
    Look(
        (*map(anycase, ("nterior", "previa", "inicial")),),
        (
            r"(?i)\b(?:ignor[ae]|olvid[ae]|omit[ae])\s+(?:todas\s+)?(?:las|tus|sus)\s+(?:instrucciones|indicaciones|órdenes)\s+"
            r"(?:anteriores|previas|iniciales)"
        ),
    ),
    Look(
        (*map(anycase, ("uzioni", "azioni")),),
        (
            r"(?i)\b(?:ignora|dimentica)\s+(?:tutte\s+)?(?:le|tue|le\s+tue)\s+(?:istruzioni|indicazioni)\s+"
            r"(?:precedenti|iniziali|sopra)"
        ),
    ),
    Look(
        (*map(anycase, ("uçõe", "orden")),),
        (
            r"(?i)\b(?:ignore|esqueça|desconsidere)\s+(?:todas\s+)?(?:as|suas|as\s+suas)\s+(?:instruções|ordens)\s+"
            r"(?:anteriores|acima|prévias|iniciais)"
        ),
    ),
    Look(
        (*map(anycase, ("uctie", "pdracht", "wijzing")),),
        (
            r"(?i)\b(?:negeer|vergeet)\s+(?:(?:alle|de|je)\s+){0,3}(?:vorige|voorgaande|eerdere|bovenstaande)\s+"
            r"(?:instructies|opdrachten|aanwijzingen)"
        ),
    ),
    Look(
        (*map(anycase, ("oprzed", "owyż", "wcze")),),
        (
            r"(?i)\b(?:zignoruj|ignoruj|zapomnij|pomiń)\s+(?:o\s+)?(?:wszystki[a-z]+\s+)?(?:poprzedni|powyższ|wcześniejsz)[a-z]+\s+"
            r"(?:instrukcj|polece)[a-zęńé]+"
        ),
    ),
    Look(
        (*map(anycase, ("matlar", "mutlar", "nergel")),),
        (
            r"(?i)(?:önceki|yukarıdaki)\s+(?:tüm\s+|bütün\s+)?(?:talimatlar|komutlar|yönergeler)[a-zıiğüşöç]*\s+"
            r"(?:yok\s+say|görmezden\s+gel|unut|dikkate\s+alma)"
        ),
    ),
    Look(
        (*map(anycase, ("нори", "абуд", "брос")),),
        (
            r"(?i)(?:про)?(?:игнорируй|забудь|отбрось)(?:те)?\s+(?:(?:все|свои|о)\s+){0,3}"
            r"(?:предыдущ|прошл|прежн|вышеуказанн|изначальн)[а-я]+\s+(?:инструкц|указани|команд|правил)[а-я]+"
        ),
    ),
    Look(
        (*("忽略", "无视", "忘记", "忘掉", "不要理会", "無視", "忘れ"),),
        (
            r"(?:忽略|无视|忘记|忘掉|不要理会)[你掉]?(?:之前|以上|上面|前面|先前|此前)的?(?:所有|全部|一切)?的?"
            r"(?:指令|指示|提示|命令|要求|规则)|(?:忽略|无视|忘记|忘掉)(?:所有|全部|一切)(?:之前|以上|上面|前面|先前|此前)?的?"
            r"(?:指令|指示|提示|命令|规则)|(?:以前|これまで|上記|上|前|先|今まで)の(?:すべて|全て|全)?の?"
            r"(?:指示|命令|プロンプト|ルール)(?:をすべて|を全て|を|は)?(?:無視|忘れ)"
        ),
    ),
    Look(
        (*("무시", "잊"),),
        (
            r"(?:이전|앞선|앞의|위의|지금까지의)\s*(?:모든\s*)?(?:지시|명령|지침|규칙)(?:사항)?[을를은는]?\s*(?:모두\s*|전부\s*)?"
            r"(?:무시|잊)"
        ),
    ),
    Look(
        ("تجاهل",),
        r"تجاهل\s+(?:جميع\s+|كل\s+)?(?:التعليمات|الأوامر|الإرشادات)\s+(?:السابقة|أعلاه)",
    ),
    Look(
        (*("अनदेखा", "नज", "भूल"),),
        r"(?:पिछले|पूर्व|ऊपर\s+के)\s+(?:सभी\s+)?(?:निर्देशों|आदेशों)\s+को\s+(?:अनदेखा|नज़रअंदाज़|भूल)",
    ),
)
"""What asks a model to forget what it was told, by language."""

_MARKS = (
    r"<\|(?:im_start|im_end|im_sep|endoftext|endofprompt|eot_id|eom_id|start_header_id|end_header_id|begin_of_text"
    r"|end_of_text|python_tag|system|user|assistant|tool_call|channel|message|start|return)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|\[/?(?:TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS)\]"
    r"|<｜(?:User|Assistant|begin▁of▁sentence|end▁of▁sentence|tool▁calls▁begin)｜>"
)
_MODEL = (
    r"(?:\bAI\s+(?:assistant|model|agent|system)s?\b|\blanguage\s+models?\b|\bLLMs?\b|\bchatbots?\b|\bchat\s?gpt\b"
    r"|\bsystem\s+prompt\b|\bif\s+you\s+are\s+an?\s+(?:AI|assistant|bot|LLM)\b)"
)
_NO_SIZE = r"(?:font-size[\t\n\f\r ]*:[\t\n\f\r ]*0|display[\t\n\f\r ]*:[\t\n\f\r ]*none|visibility[\t\n\f\r ]*:[\t\n\f\r ]*hidden|opacity[\t\n\f\r ]*:[\t\n\f\r ]*0(?:[;\"' ]|\.0)|color[\t\n\f\r ]*:[\t\n\f\r ]*transparent)"
_SPEAKS = rf"(?i-u:{_MODEL}|{_ENGLISH})"


ABOUT = "~"
"""Behind the name of a kind: in a text that is about such texts."""

_STUDIES = r"prompt[ -]injection|jailbreak|red[ -]team|owasp|adversarial"
_PAPERS = rf"(?i-u:{_STUDIES})"
_MANUALS = rf"(?i-u:{_STUDIES}|chat[ _-]template|tokeni[sz]er|special[ _]tokens?|llama|mistral|language model|fine-?tun|\bLLMs?\b)"


@dataclass(frozen=True)
class Kind:
    """A way to speak to a model from inside of data.

    Args:
        words: what stands in the text.
        looks: any of which may match.
        inside: what a match must hold, too; empty for nothing.
        about: what a text says that is about such texts.
        in_prompts: looked for in prompts too, where instructions are at home.
        of_templates: the whole column may be written so, because a template made it.
    """

    words: str
    looks: tuple[Look, ...]
    inside: str = ""
    about: str = _MANUALS
    in_prompts: bool = False
    of_templates: bool = False


KINDS: dict[str, Kind] = {
    "override": Kind("the text asks to forget what a model was told before", OVERRIDES, in_prompts=True),
    "control-token": Kind(
        "control tokens of chat templates stand in the text",
        (
            Look(
                (
                    *("<|[a-z][a-z_]", "[[]INST]", "[[]/INST]", "<<SYS>>", "<</SYS>>", "_of_turn>"),
                    *("TOOL_CALLS]", "TOOL_RESULTS]", "LABLE_TOOLS]", "<｜"),
                ),
                _MARKS,
            ),
        ),
        of_templates=True,
    ),
    "section-mark": Kind(
        "lines of the text begin a turn of a conversation as training templates do",
        (
            Look(
                ("### [IRHAS][neusy][ms]",),
                r"(?m)^### (?:Instruction|Response|Human|Assistant|System):",
            ),
        ),
        of_templates=True,
    ),
    "tool-call": Kind(
        "the text calls a tool as models do",
        (
            Look(
                ("<tool_call", "<function", "<invoke name"),
                r"<(?:tool_call|function_calls?)>|<function=[A-Za-z_.]{1,64}>|<invoke name=",
            ),
        ),
        of_templates=True,
    ),
    "hidden": Kind(
        "a comment, the title of a link or text of no size speaks to a model",
        (
            Look(("<!--",), r"<!--[^>]+"),
            Look(("](",), r"\]\(\S+\s+[\"'][^\"'\n]+"),
            Look(("[[]//]: #",), r"\[//\]: #[^\n]+"),
            Look(
                (
                    *("font-size", "display:none", r"display:\s[\sn]", r"display\s[\s:]"),
                    *("visibility", r"opacity[\s:]", "transparent"),
                ),
                rf"{_NO_SIZE}[^<>]*>[^<]+",
            ),
        ),
        inside=_SPEAKS,
        about=_PAPERS,
    ),
    "exfiltration": Kind(
        "an image of the text has an address with room for data of whoever reads it",
        (
            Look(
                ("](",),
                r"!\[[^\]\n]*\]\( ?https?://[^\s)]*[?&][A-Za-z0-9_-]+=(?:\{|\[|<|\$\{|%7[bB]|%5[bB])",
            ),
        ),
    ),
}

LOOKS = {
    f"{name} {number}": (name, look)
    for name, kind in KINDS.items()
    for number, look in enumerate(kind.looks, 1)
}
"""Every pattern, and the kind that it is of."""
NEEDLES = {pattern: look.needles for pattern, (_, look) in LOOKS.items()}

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


def injections(sifted: Sifted, *, prompts: bool) -> pl.DataFrame:
    """Where strings speak to a model, as columns of HIT; under names that end in ABOUT where they are about that.

    Args:
        sifted: the strings.
        prompts: they are prompts, where instructions are at home.
    """
    tables = [_NO_HITS]
    for pattern, (name, look) in LOOKS.items():
        if KINDS[name].in_prompts or not prompts:
            found = _told(name, sifted, sifted.located(pattern, look.pattern))
            if len(found):
                tables.append(found)
    return pl.concat(tables) if len(tables) > 1 else _NO_HITS


def _told(name: str, sifted: Sifted, found: pl.DataFrame) -> pl.DataFrame:
    """What of the matches of a kind's pattern counts, and whether it stands in a text about such texts."""
    if len(found) and KINDS[name].inside:
        found = found.filter(found["match"].str.contains(KINDS[name].inside))
    if found.is_empty():
        return _NO_HITS
    having = found["value"].unique()  # a look a text, not a match
    about = having.filter(sifted.values(having).str.contains(KINDS[name].about))
    named = pl.when(pl.col("value").is_in(about.to_list())).then(pl.lit(name + ABOUT)).otherwise(pl.lit(name))
    return conform(found.with_columns(kind=named), HIT)
