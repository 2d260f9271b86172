"""Google's Dataflow, whose workers can't see anything on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pipelines import storage
from pipelines.errors import UsageError
from pipelines.runners.other import Other


class Dataflow(Other):
    """Beam's Dataflow runner, with its flags completed and checked."""

    def complete(self, arguments: Sequence[str], job_name: str) -> list[str]:
        completed = super().complete(arguments, job_name)
        if not {"--save_main_session", "--no_save_main_session"} & {*arguments}:
            # By default Beam sends only the main module; our steps are in packages.
            completed.append("--no_save_main_session")
        return completed

    def check_reach(self, paths: Sequence[str]) -> None:
        local = [path for path in paths if storage.local_path(path) is not None]
        if local:
            raise UsageError(
                f"{local[0]}: Dataflow cannot reach this machine's files; give gs:// paths"
            )

    def check(self, options: PipelineOptions) -> None:
        super().check(options)
        # Otherwise Beam asks the cloud for them, which takes minutes if there are no credentials.
        cloud = options.view_as(GoogleCloudOptions)
        missing = [flag for flag in ("project", "region") if not getattr(cloud, flag)]
        if not (cloud.temp_location or cloud.staging_location):
            missing.append("temp_location")
        if missing:
            raise UsageError(f"--runner DataflowRunner needs --{missing[0]}")
