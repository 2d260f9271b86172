"""The Flex Template: its parameters, its launcher, and what docs/dataflow.md says of both."""

import argparse
import json
import re
import shlex
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.cloud import dataflow

from deploy.dataflow import main
from pipelines.job import options
from pipelines.runs.layout import check_run_id
from tests.support.running import PROJECT, beside_progress, listing

FOLDER = PROJECT / "deploy" / "dataflow"
PARAMETERS = {
    parameter["name"]: parameter
    for parameter in json.loads((FOLDER / "metadata.json").read_text())["parameters"]
}
# Beam's own: without it the workers would start Beam's image, where our packages are not.
NOT_OURS = {"sdk_container_image"}
REQUIRED = {"input", "output"}
GUIDE = (PROJECT / "docs" / "dataflow.md").read_text()


def actions() -> dict[str, argparse.Action]:
    """The job's own flags, by the name of the parameter."""
    parser = argparse.ArgumentParser(add_help=False)
    options.ScoreOptions._add_argparse_args(parser)
    found = {action.option_strings[0].removeprefix("--"): action for action in parser._actions}
    # The launcher ends before there is a run to watch, to sum up or to report on, and checks none.
    for name in ("progress", "no-progress", "summary", "report", "check", "metrics_file"):
        del found[name]
    return found


def accepts(name: str, value: str) -> bool:
    """Whether Dataflow takes a value for a parameter."""
    return all(re.search(pattern, value) for pattern in PARAMETERS[name].get("regexes", []))


def test_metadata_is_of_the_form_that_dataflow_knows() -> None:
    text = (FOLDER / "metadata.json").read_text()
    # Refuses fields and types that are not there.
    metadata = dataflow.TemplateMetadata.from_json(text)
    assert [parameter.name for parameter in metadata.parameters] == list(PARAMETERS)
    for parameter in PARAMETERS.values():
        assert parameter["label"]
        assert parameter["helpText"].endswith(".")


def test_every_flag_is_a_parameter_and_no_other() -> None:
    assert set(PARAMETERS) == set(actions()) | NOT_OURS


@pytest.mark.parametrize("name", actions())
def test_parameter_is_like_its_flag(name: str) -> None:
    parameter, action = PARAMETERS[name], actions()[name]
    assert parameter.get("isOptional", False) == (name not in REQUIRED)
    if name in REQUIRED:
        assert action.default is None
    choices = [option["value"] for option in parameter.get("enumOptions", [])]
    assert choices == list(action.choices or [])
    kind = parameter["paramType"]
    assert (kind == "ENUM") == bool(action.choices)
    assert (kind == "BOOLEAN") == (action.nargs == 0)
    assert (kind == "NUMBER") == (action.type is not None and name != "delimiter")
    if choices:
        assert all(accepts(name, choice) for choice in choices)
    if kind == "NUMBER":
        assert action.default is None or accepts(name, f"{action.default:g}")
        assert not accepts(name, "-1")
        assert not accepts(name, "half")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("input", ["gs://b/*.csv", "gs://b/a;gs://b/c,d/*"], ["data/*.csv", "gs://b/a;x", "gs://b/a;"]),
        ("output", ["gs://b/scored"], ["/scored", "gs://"]),
        ("model", ["gs://b/m.keras", "/template/models/m.h5"], ["gs://b/m.onnx", "m.keras"]),
        ("max_reject_fraction", ["0", "0.25", "1", "1.0"], ["1.5", "2", "10%"]),
        ("coverage", ["0.95", "0.5", ".9"], ["0", "1", "0.0", "1.5", "95%", "-0.5"]),
        ("max_drift", ["0", "0.2", "1.5"], ["inf", "-0.2", ".2", "20%"]),
        ("sdk_container_image", ["a.dev/p/r/i:1", "r.io/i@sha256:0a"], ["scoring", "r.io/i"]),
    ],
)  # fmt: skip
def test_parameter_refuses_what_cannot_work(name: str, good: list[str], bad: list[str]) -> None:
    assert [value for value in good if not accepts(name, value)] == []
    assert [value for value in bad if accepts(name, value)] == []


@pytest.mark.parametrize("run_id", ["a", "2026-11-23", "x" * 128, "", "x" * 129, "-a", "a/b", "ä"])
def test_run_id_is_refused_by_dataflow_as_by_the_job(run_id: str) -> None:
    try:
        valid = bool(check_run_id(run_id))
    except Exception:
        valid = False
    assert accepts("run_id", run_id) == valid


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("--new_only=true", ["--new_only"]),
        ("--new_only=False", []),
        ("--new_only=", []),
        ("--new_only=yes", ["--new_only=yes"]),
        ("--new_only", ["--new_only"]),
        ("--input=gs://b/a*;gs://b/c,d", ["--input=gs://b/a*", "--input=gs://b/c,d"]),
        ("--input= gs://b/a ; ", ["--input=gs://b/a"]),
        ("--passthrough=id;colour,site", ["--passthrough=id", "--passthrough=colour,site"]),
        ("--run_id=", []),
        ("--run_id=a=b;c", ["--run_id=a=b;c"]),
        ("--settle_seconds=600", ["--settle_seconds=600"]),
        ("--streaming=false", []),
        ("--use_public_ips=true", ["--use_public_ips"]),
        ("--use_public_ips=false", ["--no_use_public_ips"]),
        ("--no_use_public_ips=true", ["--no_use_public_ips"]),
        ("--experiments=a;b,c", ["--experiments=a;b,c"]),
        ("--subnetwork=", ["--subnetwork="]),
        ('--labels={"a": "b"}', ['--labels={"a": "b"}']),
        ("--misspelt=true", ["--misspelt=true"]),
    ],
)
def test_launcher_translates_parameters_into_flags(given: str, wanted: list[str]) -> None:
    assert main.translate([given]) == wanted


def test_translated_parameters_are_read_by_the_job() -> None:
    launched = [
        "--input=gs://b/x/*;gs://b/y/*", "--output=gs://b/scored", "--new_only=true",
        "--replace=false", "--passthrough=id", "--runner=DataflowRunner", "--region=europe-west1",
        "--template_location=gs://b/staging/template_launches/1/job_object",
        '--labels={\n "goog-dataflow-provided-template-type" : "flex"\n}\n',
    ]  # fmt: skip
    values = options.parse_arguments("test", main.translate(launched))
    assert values.input == ["gs://b/x/*", "gs://b/y/*"]
    assert (values.new_only, values.replace, values.passthrough) == (True, False, ["id"])


def test_launcher_file_runs_the_job(
    observations: Path, shipped_model: Path, tmp_path: Path
) -> None:
    arguments = [
        f"--input={observations}/*.csv;{observations}/*.parquet", f"--output={tmp_path / 'out'}",
        f"--model={shipped_model}", "--run_id=night", "--new_only=false", "--verbose=",
    ]  # fmt: skip
    ran = subprocess.run(
        [sys.executable, FOLDER / "main.py", *arguments], capture_output=True, text=True
    )
    assert (ran.returncode, beside_progress(ran.stderr)) == (0, "")
    assert "runs/night.json" in listing(tmp_path / "out")


def test_nightly_request_is_of_the_form_that_dataflow_knows() -> None:
    text = string.Template((FOLDER / "nightly.json").read_text()).substitute(
        BUCKET="bucket",
        IMAGE="eu-docker.pkg.dev/p/r/i:1",
        WORKER="worker@p.iam.gserviceaccount.com",
    )
    request = dataflow.LaunchFlexTemplateRequest.from_json(text)
    given = request.launch_parameter.parameters
    assert REQUIRED | NOT_OURS <= set(given) <= set(PARAMETERS)
    assert [name for name, value in given.items() if not accepts(name, value)] == []


def commands(start: str) -> list[list[str]]:
    """The words of the commands in docs/dataflow.md that begin like this."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line) for line in blocks.splitlines() if line.startswith(start)]


def test_guide_names_flags_and_parameters_that_exist() -> None:
    (direct,) = commands("python -m pipelines.score")
    values = options.parse_arguments("test", direct[3:])
    assert values.runner == "DataflowRunner"
    (run,) = commands("gcloud dataflow flex-template run")
    (given,) = [word.removeprefix("--parameters=") for word in run if "--parameters" in word]
    names: Any = {pair.partition("=")[0] for pair in given.split(",")}
    assert REQUIRED | NOT_OURS <= names <= set(PARAMETERS)
