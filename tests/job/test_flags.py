"""The flags of all commands: both spellings, suggestions, versions and help."""

import argparse
import functools
import importlib.metadata
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penguin_model import command_line, describe, predict, register, train
from penguin_model.card import read_card
from pipelines import score
from pipelines.job.options import build_parser
from pipelines.report import __main__ as report
from pipelines.review import command as runs
from pipelines.review import options as runs_options
from tests.support.running import PROJECT, run_here

MODEL = PROJECT / "models/penguin-classifier.keras"


def _run_sub_command(name: str, arguments: list[str]) -> int:
    return runs.main([name, *arguments])


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "penguin-score": score.main,
    "penguin-report": report.main,
    "penguin-predict": predict.main,
    "penguin-describe": describe.main,
    "penguin-train": train.main,
    "penguin-register": register.main,
    "penguin-runs": runs.main,
    **{
        f"penguin-runs {name}": functools.partial(_run_sub_command, name)
        for name in runs_options.COMMANDS
    },
}
PARSERS: dict[str, argparse.ArgumentParser] = {
    "penguin-score": build_parser("penguin-score"),
    "penguin-report": report.build_parser(),
    "penguin-predict": predict.build_parser(read_card(str(MODEL))),
    "penguin-describe": describe.build_parser(),
    "penguin-train": train.build_parser(),
    "penguin-register": register.build_parser(),
    "penguin-runs": runs_options.build_overview(),
    **{f"penguin-runs {name}": runs_options.build_parser(name) for name in runs_options.COMMANDS},
}


def flags_of(program: str) -> list[tuple[str, argparse.Action]]:
    found = PARSERS[program]._option_string_actions.items()
    return [(flag, action) for flag, action in found if flag.startswith("--")]


@pytest.mark.parametrize("program", PARSERS)
def test_each_flag_may_have_underscores_or_dashes(program: str) -> None:
    """Ours and Beam's, with the value in the same argument or the next, which stays as it is."""
    parser: Any = PARSERS[program]
    actions = parser._option_string_actions
    for flag, action in flags_of(program):
        for name in {flag, f"--{flag[2:].replace('_', '-')}", f"--{flag[2:].replace('-', '_')}"}:
            given = [f"{name}=--a-b_c", name, "a-b_c", "--", name]
            joined, alone, *others = parser.normalize(given)
            assert joined == f"{alone}=--a-b_c"
            assert actions[alone] is action
            assert others == ["a-b_c", "--", name]


def test_dashes_reach_beam_and_the_runner_as_underscores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_here(tmp_path, "--input", "x", "--direct-running-mode=multi_threading")
    assert (code, "--direct_running_mode multi_threading" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize("program", PARSERS)
def test_a_misspelt_flag_is_answered_with_the_right_one(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag, action in flags_of(program):
        if len(flag) < 7 or action.help == argparse.SUPPRESS:
            continue
        for wrong in (flag[:4] + flag[5:], flag[:5] + "x" + flag[5:], flag.replace("_", "")):
            if wrong.replace("-", "_") in {name.replace("-", "_") for name, _ in flags_of(program)}:
                continue
            with pytest.raises(SystemExit) as ended:
                PARSERS[program].parse_args([*_required(program), wrong])
            assert ended.value.code == 2
            err = capsys.readouterr().err
            said, _, meant = err.partition("; did you mean ")
            assert said.endswith(f"unrecognized arguments: {wrong}")
            assert meant.partition("?")[0].replace("-", "_") == flag.replace("-", "_")
            assert err.count("\n") == 1


def _required(program: str) -> list[str]:
    required = [
        f"{flag}={'1d' if flag == '--keep' else '1'}"
        for flag, action in flags_of(program)
        if action.required
    ]
    others = {
        "penguin-score": [f"--input={PROJECT / 'data/observations'}", "--output=/nowhere/out"],
        "penguin-runs": ["list"],
        "penguin-register": ["my.keras"],
    }
    return [*required, *others.get(program, ())]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "parqet"], "did you mean parquet?"),
        (["--summary=jsn"], "did you mean json?"),
        (["--runner", "FlinkRuner"], "did you mean FlinkRunner?"),
        (["--runer=FlinkRunner"], "did you mean --runner?"),
        (["--direct-num-worker=2"], "did you mean --direct_num_workers?"),
        (["--max-drft", "1"], "did you mean --max_drift?"),
        ([*map(str, range(99))], "unrecognized arguments: 0 1 2 …; put a pattern such as 'data/*'"),
        (["--zzz"], "unrecognized arguments: --zzz (see"),
    ],
)
def test_wrong_flags_and_choices_are_answered_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    night = tmp_path / "night.csv"
    night.touch()
    assert run_here(tmp_path / "out", "--input", night, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


@pytest.mark.parametrize("value", ["", " ", "\t\n"])
@pytest.mark.parametrize("program", COMMANDS)
def test_no_flag_takes_a_blank_value(
    program: str, value: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Often it is the unset variable of a script; '' as --input would be the working folder."""
    # A command that takes it must not train into models/.
    monkeypatch.chdir(tmp_path)
    for flag, action in flags_of(program):
        if action.nargs == 0 or action.help == argparse.SUPPRESS:
            continue
        # The card says what a measurement may be (test_predict_cli); a delimiter may be a tab.
        if (flag == "--delimiter" and value) or (program == "penguin-predict" and action.required):
            continue
        for given in ([f"{flag}={value}"], [flag, value]):
            arguments = [*_required(program), *given]
            assert COMMANDS[program](arguments) == 2, given
            out, err = capsys.readouterr()
            assert (out, err.count("\n")) == ("", 1)
            assert flag in err


@pytest.mark.parametrize("program", COMMANDS)
def test_version(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMANDS[program](["--version"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{program} {importlib.metadata.version('penguin-scoring')} (Python 3.")
    for library in ("apache-beam", "keras"):
        assert f"{library} {importlib.metadata.version(library)}" in line


@pytest.mark.parametrize("program", COMMANDS)
def test_help_has_examples_that_parse_and_all_exit_codes(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert COMMANDS[program](["--help"]) == 0
    text = capsys.readouterr().out
    examples = text.partition("\nexamples:\n")[2].partition("\n\n")[0].splitlines()
    assert examples
    for example in examples:
        # As a shell takes it, but for comments and what the reader fills in.
        words = example.partition("#")[0].replace("'", "").split()
        name, arguments = words[: len(program.split())], words[len(program.split()) :]
        assert name == program.split()
        if program == "penguin-runs":  # only chooses the sub-command, whose own help has these too
            assert PARSERS[program].parse_args(arguments[:1]).command == arguments[0]
            continue
        if "--help" not in arguments:
            PARSERS[program].parse_args(arguments)
    codes = text.partition("\nexit codes:\n")[2].splitlines()
    expected = [0, 1, 2, 3, 4, 130, 143] if program == "penguin-score" else [0, 1, 2, 130]
    assert [int(line.split()[0]) for line in codes] == expected


@pytest.mark.parametrize(
    ("module", "flag", "absent"),
    [
        ("pipelines.score", "--version", {"apache_beam", "tensorflow", "keras", "pyarrow"}),
        ("pipelines.score", "--help", {"tensorflow", "keras"}),
        ("penguin_model.train", "--help", {"tensorflow", "keras"}),
        ("penguin_model.register", "--help", {"tensorflow", "keras"}),
    ],
)
def test_help_and_version_are_quick(module: str, flag: str, absent: set[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", module, flag], cwd=PROJECT,
        capture_output=True, text=True, timeout=120, env=os.environ,
    )  # fmt: skip
    assert ran.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "penguin_model.cli" in loaded
    assert loaded.isdisjoint(absent)


def test_nothing_is_suggested_for_what_is_like_nothing() -> None:
    for given, known in itertools.product(["", "x", "--zzzz"], [[], ["--input", "--output"]]):
        assert command_line.did_you_mean(given, known) == ""
    # Known, and wrong for another reason.
    assert command_line.did_you_mean("--input", ["--input"]) == ""


@pytest.mark.parametrize("flag", ["--input", "--output", "--model"])
def test_a_path_of_no_filesystem_is_refused(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As gs:// is where Beam's extra gcp isn't installed."""
    output = tmp_path / "out"
    given = ("--input", PROJECT / "data/observations", flag, "moon://bucket/night.csv")
    assert run_here(output, *given) == 2
    assert capsys.readouterr().err.startswith(
        "penguin-score: error: moon://bucket/night.csv: there is no filesystem for moon:// here; "
        "gs:// needs `pip install "
    )
    assert not output.exists()
