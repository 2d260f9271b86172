"""docs/models.md: its commands, from a Keras model to a night, print what the page shows.

``python -m tests.docs.test_models_page`` rewrites the transcript.
"""

import contextlib
import dataclasses
import io
import re
import shlex
import tempfile
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from penguin_model import card, predict, register, train
from pipelines import score
from tests.support.running import PROJECT

PAGE = PROJECT / "docs/models.md"
# What the page leaves out of a summary.
_DULL = re.compile(r"(rejected|batches|predictions|manifest|next) ")
_PROGRAMS: Mapping[str, Callable[[list[str]], int]] = {
    "penguin-predict": predict.main,
    "penguin-register": register.main,
    "penguin-score": lambda words: score.main([*words, "--no-progress"]),
    "penguin-train": train.main,
}


def transcript() -> str:
    """The page's block of commands."""
    pattern = r"^```console\n(\$ python make_iris.py\n.*?)^```$"
    (found,) = re.findall(pattern, PAGE.read_text(), re.M | re.S)
    return str(found)


def scripts() -> dict[str, str]:
    """The page's Python files, by name."""
    found = re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    return dict(found)


def run(command: str) -> str:
    """Runs a command of the page; returns what it prints."""
    program, *words = shlex.split(command)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        if program == "python":
            code = words[1] if words[0] == "-c" else scripts()[words[0]]
            exec(compile(code, f"{PAGE.name}, {words[0]}", "exec"), {})
        else:
            assert _PROGRAMS[program](words) == 0, printed.getvalue()
    return printed.getvalue()


def play(commands: list[str], folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Runs commands in a folder; yields each with what it prints."""
    with contextlib.chdir(folder.resolve()):
        for command in commands:
            lines = run(command).replace(str(folder.resolve()), "…").splitlines()
            yield command, [line for line in lines if not _DULL.match(line)]


def steady(line: str) -> str:
    """A line without what another processor may round differently."""
    return re.sub(r"\s+", " ", re.sub(r"\d+\.\d+", "#", line)).strip()


def test_the_way_to_a_night_is_as_it_is_told(tmp_path: Path) -> None:
    parts = [part.splitlines() for part in re.split(r"^\$ ", transcript(), flags=re.M)[1:]]
    told = [(command, list(map(steady, lines))) for command, *lines in parts]
    happened = [
        (command, list(map(steady, printed)))
        for command, printed in play([command for command, _ in told], tmp_path)
    ]
    assert happened == told


@pytest.mark.parametrize("place", [0, 1])
def test_the_other_commands_work(place: int, tmp_path: Path) -> None:
    """Those without their output; the first needs the network that it names."""
    command = re.findall(r"^```text\n(penguin-.*?)^```$", PAGE.read_text(), re.M | re.S)[place]
    with contextlib.chdir(tmp_path):
        (tmp_path / "data").symlink_to(PROJECT / "data")
        run("python make_iris.py")
        make_birds(tmp_path / "birds.keras")
        run(command.replace("\\\n", " "))
    written = {path.name for path in tmp_path.rglob("*.keras*")}
    name = ("birds", "train")[place]
    assert {f"{name}.keras", f"{name}.keras.onnx", f"{name}.keras.card.json"} <= written


def make_birds(path: Path) -> None:
    """A network with the page's 3 + 2 + 4 inputs."""
    import keras

    layers = [keras.Input((9,)), keras.layers.Dense(3, "softmax")]
    keras.Sequential(layers).save(path)


def test_the_table_has_every_field_of_the_card() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", PAGE.read_text().partition("## The card\n")[2], re.M)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == {"format", *fields_of(card.ModelCard)}


def fields_of(record: type, before: str = "") -> Iterator[str]:
    """The names of a record's fields, and of the fields of records in them but histograms."""
    hints = typing.get_type_hints(record)
    for field in dataclasses.fields(record):
        name = f"{before}{field.name}"
        yield name
        kinds = {hints[field.name], *typing.get_args(hints[field.name])}
        is_list = typing.get_origin(hints[field.name]) is tuple
        kinds |= {each for kind in kinds for each in union(kind)}
        for kind in kinds:
            if dataclasses.is_dataclass(kind) and kind is not card.Histogram:
                assert isinstance(kind, type)
                yield from fields_of(kind, f"{name}[]." if is_list else f"{name}.")


def union(kind: object) -> tuple[object, ...]:
    """The alternatives of a type."""
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else ()


def retell() -> None:
    """Rewrites the page's transcript, with the same commands."""
    commands = re.findall(r"^\$ (.*)$", transcript(), re.M)
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            line
            for command, printed in play(commands, Path(folder))
            for line in (f"$ {command}", *printed)
        ]
    page = PAGE.read_text()
    PAGE.write_text(page.replace(transcript(), "\n".join(lines) + "\n"))


if __name__ == "__main__":
    retell()
