"""What goes to Dataflow, as far as it can be checked without Google's cloud.

Beam builds the job and would send it; here its storage is a dictionary and nothing is sent.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.internal import apiclient

from pipelines import job
from pipelines.errors import UsageError
from tests.support.running import PROJECT

IMAGE = "europe-docker.pkg.dev/station/penguins/scoring:1"
CLOUD = [
    "--runner=DataflowRunner",
    "--project=station-1",
    "--region=europe-west1",
    "--temp_location=gs://bucket/tmp",
    "--staging_location=gs://bucket/staging",
    "--output=gs://bucket/scored",
    "--run_id=night",
    f"--model={PROJECT / 'models' / 'penguin-classifier.keras'}",
    "--no_auth",
    "--dry_run=True",
]
IN_IMAGE = [*CLOUD, f"--sdk_container_image={IMAGE}"]


def build(*flags: str) -> Any:
    """The job that Beam's DataflowRunner builds from ours."""
    prepared = job.prepare(job.parse_arguments("test", flags), flags)
    submission = prepared.submission
    pipeline = beam.Pipeline(runner=submission.runner, options=submission.options)
    _ = pipeline | "Score" >> prepared.transform
    return pipeline.run().job


@pytest.mark.parametrize("flag", ["--project", "--region", "--temp_location"])
def test_what_beam_would_ask_the_cloud_about_is_refused(flag: str) -> None:
    flags = [each for each in CLOUD if not each.startswith((flag, "--staging_location"))]
    with pytest.raises(UsageError, match=flag):
        build(*flags, "--input=gs://bucket/*")


def test_files_of_this_machine_are_refused() -> None:
    with pytest.raises(UsageError, match=r"data/observations.*gs://"):
        build(*CLOUD, "--input=data/observations")


def staged(built: Any) -> list[str]:
    """The names of the files that the workers would get."""
    (environment,) = built.proto_pipeline.components.environments.values()
    return [
        beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(file.role_payload).staged_name
        for file in environment.dependencies
    ]


@pytest.fixture(scope="module")
def built() -> Any:
    return build(*IN_IMAGE, "--input=gs://bucket/observations/*")


def test_steps_have_the_labels_of_the_picture_in_the_readme(built: Any) -> None:
    names = {step.unique_name for step in built.proto_pipeline.components.transforms.values()}
    labels = {name.split("/")[1] for name in names if "/" in name}
    shown = re.findall(r'\w+\["(.*?)"\]', (PROJECT / "README.md").read_text())
    assert len(shown) >= 12
    assert set(shown) <= labels


def test_worker_with_the_installed_packages_alone_can_unpickle_every_step(
    built: Any, tmp_path: Path
) -> None:
    (tmp_path / "pipeline").write_bytes(built.proto_pipeline.SerializeToString())
    code = """if True:
        import sys
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.portability.api import beam_runner_api_pb2
        proto = beam_runner_api_pb2.Pipeline.FromString(open("pipeline", "rb").read())
        beam.Pipeline.from_runner_api(proto, beam.runners.DirectRunner(), PipelineOptions([]))
        print(sorted({"tests", "pipelines"} & {name.split(".")[0] for name in sys.modules}))
    """
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("['pipelines']\n", 0), ran.stderr


def test_workers_of_an_image_are_sent_no_package(built: Any) -> None:
    assert staged(built) == ["submission_environment_dependencies.txt"]  # a list, for the log


def test_setup_file_sends_the_project(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, tmp_path)
    for package in ("penguin_model", "pipelines"):
        shutil.copytree(PROJECT / package, tmp_path / package)
    flags = [*CLOUD, "--input=gs://bucket/*.csv", f"--setup_file={tmp_path / 'setup.py'}"]
    assert staged(build(*flags)) == ["workflow.tar.gz", "submission_environment_dependencies.txt"]


def test_job_lists_no_file_so_that_it_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    def match(*_: object) -> None:
        raise AssertionError("input is matched before the job runs")

    monkeypatch.setattr(FileSystems, "match", match)
    proto = build(*IN_IMAGE, "--input=gs://bucket/observations/*").proto_pipeline
    assert proto.ByteSize() < 200_000  # Dataflow takes 10 MB


def test_template_holds_the_whole_job(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = [
        "--input=gs://bucket/observations/*",
        "--template_location=gs://bucket/staging/template_launches/1/job_object",
        "--experiments=no_use_multiple_sdk_containers",
        "--number_of_worker_harness_threads=4",
        "--machine_type=n2-standard-4",
        "--disk_size_gb=50",
    ]
    made = build(*IN_IMAGE, *flags)
    files: dict[str, bytes] = {}

    def stage(_: Any, folder: str, name: str, stream: Any, *__: Any, **___: Any) -> None:
        files[f"{folder}/{name}"] = stream.read()

    monkeypatch.setattr(apiclient.DataflowApplicationClient, "stage_file", stage)
    client = apiclient.DataflowApplicationClient(made.options, made.root_staging_location)
    assert client.create_job(made) is None  # nothing is sent: the launcher reads the template

    content = files.pop("gs://bucket/staging/template_launches/1/job_object")
    assert len(content) < 100_000
    environment = json.loads(content)["environment"]
    (pool,) = environment["workerPools"]
    (container,) = pool["sdkHarnessContainerImages"]
    assert container["containerImage"] == pool["workerHarnessContainerImage"] == IMAGE
    assert pool["machineType"] == "n2-standard-4"
    assert (pool["diskSizeGb"], pool["numThreadsPerWorker"]) == (50, 4)
    assert "no_use_multiple_sdk_containers" in environment["experiments"]
    assert "use_multiple_sdk_containers" not in environment["experiments"]
    sent = environment["sdkPipelineOptions"]["options"]
    assert sent["save_main_session"] is False
    staging = made.options.view_as(GoogleCloudOptions).staging_location
    assert set(files) == {
        f"{staging}/pipeline.pb",
        f"{staging}/submission_environment_dependencies.txt",
    }
