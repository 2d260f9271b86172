"""Numbers, times and long texts as the report shows them."""

import datetime

import pytest

from pipelines import formatting


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.0%"), (0.0004, "<0.1%"), (0.024, "2.4%"), (0.9996, ">99.9%"), (1, "100.0%")],
)
def test_a_share_looks_like_none_or_all_only_if_it_is(share: float, shown: str) -> None:
    assert formatting.percent(share) == shown


def test_the_largest_of_many_counts_are_listed() -> None:
    assert formatting.listed_counts({"b": 2, "a": 10}) == "  (b 2, a 10)"
    many = formatting.listed_counts({f"c{n}": 1000 + n for n in range(40)})
    assert many.startswith("  (c39 1,039, c38 1,038, ")
    assert many.endswith("c28 1,028 and 28 more)")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"), (0.00902, "0.00902"), (38.56, "38.6"), (4050.0, "4,050"), (1e6, "1,000,000"),
        (-2.5, "−2.5"), (None, "–"), (float("inf"), "inf"), (9.996, "10"),
    ],
)  # fmt: skip
def test_numbers_keep_the_digits_that_matter(value: float | None, shown: str) -> None:
    assert formatting.number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(9.44, "9.4 s"), (74.2, "1 min 14 s"), (7384, "2 h 3 min")]
)
def test_durations_have_two_units(seconds: float, shown: str) -> None:
    start = "2026-11-01T20:00:00+00:00"
    end = datetime.datetime.fromisoformat(start) + datetime.timedelta(seconds=seconds)
    assert formatting.duration(start, end.isoformat()).replace(formatting.NO_BREAK, " ") == shown
    assert formatting.duration("None", start) == "–"


def test_long_texts_are_cut_and_say_how_long_they_are() -> None:
    assert formatting.cut("x" * 400) == "x" * 400
    assert formatting.cut("x" * 4_194_304) == "x" * 400 + "… (4,194,304 characters)"
