"""Lists and assignments in the values of flags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model import assignments
from penguin_model.assignments import join as record
from penguin_model.errors import UsageError
from penguin_model.names import fold

NAMES = ("Girth", "leaf length", "a=b", "c, d")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


@given(st.lists(TEXTS, min_size=1))
def test_a_list_is_a_record_of_a_csv(parts: list[str]) -> None:
    assert assignments.split("--classes", record(parts)) == tuple(parts)


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS, min_size=1))
def test_each_value_goes_to_its_name(values: dict[str, str]) -> None:
    pairs = [f"{name}={value}" for name, value in values.items()]
    together = assignments.by_name("--units", [record(pairs)], NAMES)
    apart = assignments.by_name("--units", [record([pair]) for pair in pairs], NAMES)
    assert together == apart == values


@given(st.dictionaries(st.sampled_from(NAMES), st.lists(TEXTS, min_size=1), min_size=1))
def test_each_list_goes_to_its_name(values: dict[str, list[str]]) -> None:
    texts = [f"{name}={record(parts)}" for name, parts in values.items()]
    found = assignments.lists_by_name("--vocabulary", texts, NAMES)
    assert found == {name: tuple(parts) for name, parts in values.items()}


def test_names_are_found_in_any_case() -> None:
    assert assignments.by_name("--units", ["GIRTH = cm"], NAMES) == {"Girth": "cm"}
    assert fold(" GIRTH ") == fold("Girth")


def test_numbers_and_ranges() -> None:
    assert assignments.numbers("--scales", {"a": "10", "b": "-2.5e3"}) == {"a": 10, "b": -2500}
    assert assignments.ranges("--ranges", {"a": "-5:10.5"}) == {"a": (-5, 10.5)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Girth", r"--units Girth: must be NAME=VALUE, such as Girth=…"),
        ("Girt=cm", r"--units Girt=cm: Girt isn't among the features; did you mean Girth\?"),
        ("zzz=cm", r"zzz isn't among the features; they are Girth, leaf length, a=b, c, d"),
        ("Girth=cm,girth=mm", "--units girth=mm: Girth is given twice"),
        ('"Girth=cm', "isn't a list such as a,b or"),
        ("Girth=cm,,a=b=g", "a name in the list is blank"),
        ("a\nb", "isn't a list"),
    ],
)  # fmt: skip
def test_bad_assignments_are_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        assignments.by_name("--units", [text], NAMES)


def test_a_list_that_goes_on_with_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--vocabulary Girth: give Leaf Length=c with another --"):
        assignments.lists_by_name("--vocabulary", ["Girth=a,b,Leaf Length=c,d"], NAMES)
    found = assignments.lists_by_name("--vocabulary", ["Girth=a,Girth=b,x=c"], NAMES)
    assert found == {"Girth": ("a", "Girth=b", "x=c")}


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1,5", "0x10"])
def test_bad_numbers_are_named(text: str) -> None:
    with pytest.raises(UsageError, match=f"--scales a={text}: .* is not a number"):
        assignments.numbers("--scales", {"a": text})


@pytest.mark.parametrize("text", ["", "5", "5:", ":5", "5:4", "4:4", "1:2:3", "a:b", "0:inf"])
def test_bad_ranges_are_named(text: str) -> None:
    with pytest.raises(UsageError, match=f"--ranges a={text}: "):
        assignments.ranges("--ranges", {"a": text})
