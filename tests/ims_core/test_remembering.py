"""What is remembered of results, and how much."""

import pytest

from ims_core.remembering import Remembered


def test_a_result_is_computed_once_and_an_exception_each_time() -> None:
    asked: list[int] = []

    def half(number: int) -> int:
        asked.append(number)
        if number % 2:
            raise ValueError(number)
        return number // 2

    halves = Remembered(half, 10)
    assert [halves.of(8), halves.of(8)] == [4, 4]
    for _ in range(2):
        with pytest.raises(ValueError, match="3"):
            halves.of(3)
    assert asked == [8, 3, 3]


def test_no_more_is_remembered_than_the_limit() -> None:
    asked: list[int] = []

    def write(number: int) -> str:
        asked.append(number)
        return str(number)

    texts = Remembered(write, 3)
    for number in range(10):
        assert texts.of(number) == texts.of(number) == str(number)
        assert 1 <= len(texts) <= 3
    assert asked == list(range(10))
