"""Sums of money as sequences of single prompts."""

from media.playing.numbers import check_language, say_count, say_number

_HUNDREDTHS = 100
# The unit and its hundredth in English: one of them, and several.
_ENGLISH = {
    "CNY": (("yuan", "yuan"), ("fen", "fen")),
    "EUR": (("euro", "euros"), ("cent", "cents")),
    "GBP": (("pound", "pounds"), ("penny", "pence")),
    "USD": (("dollar", "dollars"), ("cent", "cents")),
}
CURRENCIES = tuple(_ENGLISH)


def say_money(minor: int, currency: str, lang: str) -> list[str]:
    """Tell a sum given in hundredths, as 1250 of "CNY": "twelve yuan and fifty fen", "十二元五角".

    Raises ValueError for a currency that is not one of `CURRENCIES`.
    """
    check_language(lang)
    if currency not in CURRENCIES:
        raise ValueError(f"currency {currency!r} is not one of {', '.join(CURRENCIES)}")
    sign = [f"{lang}/numbers/minus"] if minor < 0 else []
    whole, rest = divmod(abs(minor), _HUNDREDTHS)
    if lang == "en":
        return [*sign, *_english(whole, rest, currency)]
    return [*sign, *(_yuan(whole, rest) if currency == "CNY" else _decimal(whole, rest, currency))]


def _english(whole: int, rest: int, currency: str) -> list[str]:
    unit, part = _ENGLISH[currency]
    units = [*say_number(whole, "en"), f"en/money/{unit[whole != 1]}"] if whole or not rest else []
    parts = [*say_number(rest, "en"), f"en/money/{part[rest != 1]}"] if rest else []
    return [*units, *(["en/numbers/and"] if units and parts else []), *parts]


def _yuan(whole: int, rest: int) -> list[str]:
    """Speak 元, 角 and 分, with a 零 in place of 角 before 分."""
    jiao, fen = divmod(rest, 10)
    names = [*say_count(whole, "zh"), "zh/money/cny"] if whole or not rest else []
    if jiao:
        names += [*say_count(jiao, "zh"), "zh/money/jiao"]
    elif names and fen:
        names.append("zh/digits/0")
    return [*names, *say_count(fen, "zh"), "zh/times/minute"] if fen else names


def _decimal(whole: int, rest: int, currency: str) -> list[str]:
    """Speak hundredths behind a point: 十二点五美元."""
    unit = f"zh/money/{currency.lower()}"
    if not rest:
        return [*say_count(whole, "zh"), unit]
    digits = f"{rest:02}".rstrip("0")
    return [*say_number(whole, "zh"), "zh/numbers/point", *(f"zh/digits/{digit}" for digit in digits), unit]
