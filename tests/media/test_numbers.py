"""Numbers spoken from single prompts."""

import tomllib
from contextlib import suppress
from datetime import date, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.playing.moments import say_date, say_time
from media.playing.money import CURRENCIES, say_money
from media.playing.numbers import LANGUAGES, say_agent, say_digits, say_number, say_position, say_wait
from media.playing.values import expand

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
        (12345, "twelve thousand three hundred and forty five"),
        (100_001, "one hundred thousand and one"),
        (2_000_300, "two million three hundred"),
        (999_000_000_015, "nine hundred and ninety nine billion and fifteen"),
        (10**12, "one zero zero zero zero zero zero zero zero zero zero zero zero"),
        (-12, "minus twelve"),
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
        (10_000, "yi1 wan4"),
        (20_000, "liang3 wan4"),
        (12_000, "yi1 wan4 er4 qian1"),
        (100_000, "shi2 wan4"),
        (110_010, "shi2 yi1 wan4 ling2 yi1 shi2"),
        (100_005, "shi2 wan4 ling2 wu3"),
        (5_012_345, "wu3 bai3 ling2 yi1 wan4 er4 qian1 san1 bai3 si4 shi2 wu3"),
        (200_000_000, "liang3 yi4"),
        (200_000_010, "liang3 yi4 ling2 yi1 shi2"),
        (300_010_000, "san1 yi4 ling2 yi1 wan4"),
        (10**12, "yi1 ling2 ling2 ling2 ling2 ling2 ling2 ling2 ling2 ling2 ling2 ling2 ling2"),
        (-3, "fu4 san1"),
    ],
)
def test_a_number_in_mandarin(n: int, words: str) -> None:
    assert spoken(say_number(n, "zh")) == words


@pytest.mark.parametrize("lang", LANGUAGES)
def test_numbers_differ_and_every_prompt_of_them_has_a_text(lang: str) -> None:
    numbers = (*range(20_000), *range(20_000, 10**12, 10**11 // 97), 10**12 - 1)
    assert len({spoken(say_number(n, lang)) for n in numbers}) == len(numbers)


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


@pytest.mark.parametrize(
    ("moment", "english", "mandarin"),
    [
        (time(0, 0), "midnight", "ling2 chen2 ling2 dian3 zheng3"),
        (time(0, 5), "twelve oh five A.M.", "ling2 chen2 ling2 dian3 ling2 wu3 fen1"),
        (time(2, 0), "two o'clock A.M.", "ling2 chen2 liang3 dian3 zheng3"),
        (time(9, 30), "nine thirty A.M.", "shang4 wu3 jiu3 dian3 san1 shi2 fen1"),
        (time(12, 0), "noon", "zhong1 wu3 shi2 er4 dian3 zheng3"),
        (time(15, 15), "three fifteen P.M.", "xia4 wu3 san1 dian3 shi2 wu3 fen1"),
        (time(22, 2), "ten oh two P.M.", "wan3 shang4 shi2 dian3 ling2 er4 fen1"),
    ],
)
def test_a_time_of_day(moment: time, english: str, mandarin: str) -> None:
    assert spoken(say_time(moment, "en")) == english
    assert spoken(say_time(moment, "zh")) == mandarin


@pytest.mark.parametrize(
    ("day", "english", "mandarin"),
    [
        (
            date(2026, 11, 22),
            "Sunday the twenty second of November twenty twenty six",
            "er4 ling2 er4 liu4 nian2 shi2 yi1 yue4 er4 shi2 er4 ri4 xing1 qi1 ri4",
        ),
        (
            date(1999, 1, 1),
            "Friday the first of January nineteen ninety nine",
            "yi1 jiu3 jiu3 jiu3 nian2 yi1 yue4 yi1 ri4 xing1 qi1 wu3",
        ),
        (
            date(2008, 8, 20),
            "Wednesday the twentieth of August two thousand and eight",
            "er4 ling2 ling2 ba1 nian2 ba1 yue4 er4 shi2 ri4 xing1 qi1 san1",
        ),
        (
            date(1900, 5, 31),
            "Thursday the thirty first of May nineteen hundred",
            "yi1 jiu3 ling2 ling2 nian2 wu3 yue4 san1 shi2 yi1 ri4 xing1 qi1 si4",
        ),
        (
            date(1905, 6, 30),
            "Friday the thirtieth of June nineteen oh five",
            "yi1 jiu3 ling2 wu3 nian2 liu4 yue4 san1 shi2 ri4 xing1 qi1 wu3",
        ),
    ],
)
def test_a_date(day: date, english: str, mandarin: str) -> None:
    assert spoken(say_date(day, "en")) == english
    assert spoken(say_date(day, "zh")) == mandarin
    assert mandarin.endswith(spoken(say_date(day, "zh", with_year=False)))
    assert english.startswith(spoken(say_date(day, "en", with_year=False)))


@pytest.mark.parametrize(
    ("minor", "currency", "english", "mandarin"),
    [
        (0, "CNY", "zero yuan", "ling2 yuan2"),
        (1250, "CNY", "twelve yuan and fifty fen", "shi2 er4 yuan2 wu3 jiao3"),
        (1205, "CNY", "twelve yuan and five fen", "shi2 er4 yuan2 ling2 wu3 fen1"),
        (234, "CNY", "two yuan and thirty four fen", "liang3 yuan2 san1 jiao3 si4 fen1"),
        (2, "CNY", "two fen", "liang3 fen1"),
        (20, "CNY", "twenty fen", "liang3 jiao3"),
        (101, "USD", "one dollar and one cent", "yi1 dian3 ling2 yi1 mei3 yuan2"),
        (-250, "EUR", "minus two euros and fifty cents", "fu4 er4 dian3 wu3 ou1 yuan2"),
        (200, "GBP", "two pounds", "liang3 ying1 bang4"),
        (201, "GBP", "two pounds and one penny", "er4 dian3 ling2 yi1 ying1 bang4"),
        (2, "GBP", "two pence", "ling2 dian3 ling2 er4 ying1 bang4"),
    ],
)
def test_a_sum_of_money(minor: int, currency: str, english: str, mandarin: str) -> None:
    assert spoken(say_money(minor, currency, "en")) == english
    assert spoken(say_money(minor, currency, "zh")) == mandarin


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_time_date_and_sum_differs_and_has_its_prompts(lang: str) -> None:
    times = [time(minutes // 60, minutes % 60) for minutes in range(24 * 60)]
    assert len({spoken(say_time(moment, lang)) for moment in times}) == len(times)
    days = [date(1990, 1, 1) + timedelta(days=number) for number in range(0, 20_000, 17)]
    assert len({spoken(say_date(day, lang)) for day in days}) == len(days)
    for currency in CURRENCIES:
        assert len({spoken(say_money(minor, currency, lang)) for minor in range(5000)}) == 5000


def test_what_cannot_be_spoken_is_refused() -> None:
    with pytest.raises(ValueError, match="'de' is not one of en, zh"):
        say_number(1, "de")
    with pytest.raises(ValueError, match="'de' is not one of en, zh"):
        say_digits("1", "de")
    with pytest.raises(ValueError, match="'de' is not one of en, zh"):
        say_time(time(), "de")
    with pytest.raises(ValueError, match="'de' is not one of en, zh"):
        say_date(date(2000, 1, 1), "de")
    with pytest.raises(ValueError, match="'XYZ' is not one of CNY, EUR, GBP, USD"):
        say_money(1, "XYZ", "en")


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("number:en:-42", "minus forty two"),
        ("number:zh:20000", "liang3 wan4"),
        ("digits:zh:10086", "yao1 ling2 ling2 ba1 liu4"),
        ("time:en:09:30", "nine thirty A.M."),
        ("date:en:2026-11-22", "Sunday the twenty second of November twenty twenty six"),
        ("money:en:CNY:12.50", "twelve yuan and fifty fen"),
        ("money:zh:USD:12.5", "shi2 er4 dian3 wu3 mei3 yuan2"),
        ("money:en:GBP:-1", "minus one pound"),
        ("money:en:EUR:-0.05", "minus five cents"),
        ("en/welcome", "Welcome, and thank you for calling."),
    ],
)
def test_a_value_stands_for_the_prompts_that_say_it(prompt: str, words: str) -> None:
    assert spoken(expand(prompt)) == words


def test_what_is_no_value_stands_for_itself() -> None:
    for prompt in ("say:en:number:en:1", "en/welcome", "number", "number:", "", "tones/call"):
        assert expand(prompt) == [prompt]


@pytest.mark.parametrize(
    "prompt",
    [
        *("number:en:x", "number:en:", "number:fr:1", "number:en:1٣", "digits:en:1a", "time:en:25:00", "time:en:9:30"),
        *(
            "date:en:2026-02-30",
            "date:en:20260101",
            "money:en:12.50",
            "money:en:XYZ:1",
            "money:en:CNY:1.234",
            "money:zh:",
        ),
        *("number:en:" + "9" * 5000, "digits:en:" + "1" * 5000),
    ],
)
def test_a_value_that_cannot_be_said_is_named_in_one_sentence(prompt: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]{1,250}$"):
        expand(prompt)


VALUES = st.from_regex(r"(number|digits|time|date|money):(en|zh):[A-Z0-9:.-]{0,20}", fullmatch=True)


@given(st.text(max_size=30) | VALUES)
def test_any_text_is_expanded_or_refused(prompt: str) -> None:
    with suppress(ValueError):
        names = expand(prompt)
        assert names == [prompt] or all(name.partition("/")[2] in TEXTS[name[:2]]["texts"] for name in names)
