"""Times of day and dates as sequences of single prompts."""

from datetime import date, time

from media.playing.numbers import check_language, say_count, say_number

# 凌晨, 上午, 中午, 下午, 晚上: the part of the day that Mandarin names before the hour.
_PARTS_OF_THE_DAY = ((6, "night"), (12, "morning"), (13, "noon"), (18, "afternoon"), (24, "evening"))


def say_time(moment: time, lang: str) -> list[str]:
    """Tell a time to the minute: "three oh five p m", "下午三点零五分"; noon and midnight have names in English."""
    check_language(lang)
    if lang == "zh":
        return _mandarin_time(moment.hour, moment.minute)
    if moment.minute == 0 and moment.hour % 12 == 0:
        return ["en/times/noon" if moment.hour else "en/times/midnight"]
    half = "en/times/pm" if moment.hour >= 12 else "en/times/am"
    hour = say_number((moment.hour - 1) % 12 + 1, "en")
    if moment.minute == 0:
        return [*hour, "en/times/o-clock", half]
    oh = ["en/times/oh"] if moment.minute < 10 else []
    return [*hour, *oh, *say_number(moment.minute, "en"), half]


def say_date(day: date, lang: str, *, with_year: bool = True) -> list[str]:
    """Tell a date with its day of the week: "Sunday the twenty second of November twenty twenty six"."""
    check_language(lang)
    weekday = f"{lang}/weekdays/{day.isoweekday()}"
    if lang == "zh":
        year = [*(f"zh/digits/{digit}" for digit in str(day.year)), "zh/dates/year"] if with_year else []
        in_year = [*say_number(day.month, "zh"), "zh/dates/month", *say_number(day.day, "zh"), "zh/dates/day"]
        return [*year, *in_year, weekday]
    day_of_month = [weekday, "en/dates/the", *_ordinal(day.day), "en/dates/of", f"en/months/{day.month}"]
    return [*day_of_month, *(_english_year(day.year) if with_year else [])]


def _mandarin_time(hour: int, minute: int) -> list[str]:
    part = next(name for end, name in _PARTS_OF_THE_DAY if hour < end)
    said = [f"zh/times/{part}", *say_count(hour % 12 or 12 * (hour > 0), "zh"), "zh/numbers/point"]
    if minute == 0:
        return [*said, "zh/times/exactly"]
    zero = ["zh/digits/0"] if minute < 10 else []
    return [*said, *zero, *say_number(minute, "zh"), "zh/times/minute"]


def _ordinal(n: int) -> list[str]:
    if n <= 20 or n % 10 == 0:
        return [f"en/ordinals/{n}"]
    return [f"en/numbers/{n - n % 10}", f"en/ordinals/{n % 10}"]


def _english_year(year: int) -> list[str]:
    century, rest = divmod(year, 100)
    if century < 10 or (century % 10 == 0 and rest < 10):
        return say_number(year, "en")
    if rest == 0:
        return [*say_number(century, "en"), "en/numbers/100"]
    return [*say_number(century, "en"), *(["en/times/oh"] if rest < 10 else []), *say_number(rest, "en")]
