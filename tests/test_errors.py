"""The one exception tree: every error has a code of its own, and both pages of it are true."""

import re

import pytest

import penguin_model.errors
import pipelines.errors
from pipelines.errors import PenguinError, of_code
from pipelines.runs.gates import HeldBecause


def below(kind: type[PenguinError]) -> list[type[PenguinError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in below(child))]


def drawn(page: str | None) -> dict[str, tuple[int, str]]:
    """Class names to exit codes and codes, as a module's docstring draws them."""
    found = re.findall(r"^\W+(\w+Error) +(\d+)\s+(\w+) ", page or "", re.MULTILINE)
    return {name: (int(number), code) for name, number, code in found}


def test_every_error_has_a_code_of_its_own_that_leads_back_to_it() -> None:
    assert [of_code(kind.code) for kind in below(PenguinError)] == below(PenguinError)
    with pytest.raises(KeyError):
        of_code("no such code")


def test_the_tree_is_drawn_as_it_is() -> None:
    facts = {kind.__name__: (kind.exit_code, kind.code) for kind in below(PenguinError)}
    assert drawn(pipelines.errors.__doc__) == facts
    of_model = {
        kind.__name__
        for kind in below(PenguinError)
        if kind.__module__ == penguin_model.errors.__name__
    }
    page = drawn(penguin_model.errors.__doc__)
    assert page == {name: facts[name] for name in of_model}


def test_only_a_held_run_is_not_a_failure() -> None:
    held = [kind.code for kind in below(PenguinError) if not kind.is_failure]
    assert sorted(held) == sorted(["held", *HeldBecause])
