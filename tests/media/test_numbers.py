"""Numbers spoken from single prompts."""

import tomllib
from pathlib import Path

import pytest

from media.playing.numbers import LANGUAGES, say_agent, say_digits, say_number, say_position, say_wait

TEXTS = tomllib.loads((Path(__file__).parents[2] / "media/prompts/texts.toml").read_text(encoding="utf-8"))


def spoken(names: list[str]) -> str:
    """What the caller hears, read from the table that the prompts are made of."""
    words = []
    for name in names:
        lang, _, text = name.partition("/")
        words.append(TEXTS[lang]["texts"][text])
    return " ".join(words)


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, "zero"),
        (7, "seven"),
        (10, "ten"),
        (13, "thirteen"),
        (19, "nineteen"),
        (20, "twenty"),
        (21, "twenty one"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (101, "one hundred and one"),
        (115, "one hundred and fifteen"),
        (340, "three hundred and forty"),
        (1000, "one thousand"),
        (2005, "two thousand and five"),
        (9999, "nine thousand nine hundred and ninety nine"),
        (12345, "one two three four five"),
    ],
)
def test_a_number_in_english(n: int, words: str) -> None:
    assert spoken(say_number(n, "en")) == words


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, "ling2"),
        (7, "qi1"),
        (10, "shi2"),
        (15, "shi2 wu3"),
        (20, "er4 shi2"),
        (21, "er4 shi2 yi1"),
        (99, "jiu3 shi2 jiu3"),
        (100, "yi1 bai3"),
        (101, "yi1 bai3 ling2 yi1"),
        (110, "yi1 bai3 yi1 shi2"),
        (340, "san1 bai3 si4 shi2"),
        (1001, "yi1 qian1 ling2 yi1"),
        (1010, "yi1 qian1 ling2 yi1 shi2"),
        (1100, "yi1 qian1 yi1 bai3"),
        (2000, "er4 qian1"),
        (10000, "yao1 ling2 ling2 ling2 ling2"),
    ],
)
def test_a_number_in_mandarin(n: int, words: str) -> None:
    assert spoken(say_number(n, "zh")) == words


@pytest.mark.parametrize("lang", LANGUAGES)
def test_numbers_differ_and_every_prompt_of_them_has_a_text(lang: str) -> None:
    assert len({spoken(say_number(n, lang)) for n in range(10_000)}) == 10_000


def test_digits_are_read_one_by_one_and_other_characters_left_out() -> None:
    assert spoken(say_digits("1001", "en")) == "one zero zero one"
    assert spoken(say_digits("1001", "zh")) == "yao1 ling2 ling2 yao1"
    assert spoken(say_digits("+86 (10) a-7", "en")) == "eight six one zero seven"
    assert say_digits("٣", "en") == []  # a digit to Unicode, but not of our prompts


def test_phrases_around_numbers() -> None:
    assert spoken(say_position(12, "en")) == "You are number twelve in the queue."
    assert spoken(say_position(3, "zh")) == "nin2 mu4 qian2 pai2 zai4 di4 san1 wei4."
    assert spoken(say_agent("1001", "en")) == "Agent one zero zero one at your service."
    assert spoken(say_agent("1001", "zh")) == "gong1 hao4 yao1 ling2 ling2 yao1 wei4 nin2 fu2 wu4."


@pytest.mark.parametrize(
    ("low", "high", "english", "mandarin"),
    [
        (0, 0, "less than one minute.", "bu2 dao4 yi1 fen1 zhong1."),
        (12, 60, "less than one minute.", "bu2 dao4 yi1 fen1 zhong1."),
        (59, 61, "less than two minutes.", "bu2 dao4 liang3 fen1 zhong1."),
        (60, 60, "from one to two minutes.", "wei4 yi1 dao4 liang3 fen1 zhong1."),
        (179, 241, "from two to five minutes.", "wei4 liang3 dao4 wu3 fen1 zhong1."),
        (601, 721, "from ten to fifteen minutes.", "wei4 shi2 dao4 shi2 wu3 fen1 zhong1."),
        (720, 1801, "from ten to thirty five minutes.", "wei4 shi2 dao4 san1 shi2 wu3 fen1 zhong1."),
    ],
)
def test_a_wait_is_a_range_rounded_outwards(low: float, high: float, english: str, mandarin: str) -> None:
    assert spoken(say_wait(low, high, "en")) == f"The expected wait is {english}"
    assert spoken(say_wait(low, high, "zh")) == f"yu4 ji4 deng3 hou4 shi2 jian1 {mandarin}"


def test_what_cannot_be_spoken_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 on"):
        say_number(-1, "en")
    with pytest.raises(ValueError, match="'de' is not one of en, zh"):
        say_number(1, "de")
    with pytest.raises(ValueError, match="'de' is not one of en, zh"):
        say_digits("1", "de")
