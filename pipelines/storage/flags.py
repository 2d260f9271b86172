"""The flags of Beam's filesystems, such as ``--s3_endpoint_url``, for commands besides the job."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from apache_beam.options import pipeline_options as beam

from penguin_model import command_line
from pipelines.storage.files import use_options

_KINDS = (
    beam.S3Options, beam.GoogleCloudOptions, beam.AzureOptions, beam.HadoopFileSystemOptions,
)  # fmt: skip


def parse_with_filesystems(
    parser: command_line.ArgumentParser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, list[str]]:
    """Parses a command's own flags and those of the filesystems, and applies the latter.

    Args:
      parser: of the command's own flags, which win over others of the same name.
      arguments: the command line.

    Returns:
      The values of all flags, and the filesystems' flags that were given, for another command.
    """
    added = _Added(parser)
    for kind in _KINDS:
        kind._add_argparse_args(added)
    values: argparse.Namespace = parser.parse_args(arguments)
    given = [flag for action in added.actions for flag in _spell(action, values)]
    use_options(beam.PipelineOptions(given))
    return values, given


class _Added:
    """Adds to a parser the flags that it doesn't have yet."""

    def __init__(self, parser: command_line.ArgumentParser) -> None:
        self._parser = parser
        self.actions: list[argparse.Action] = []

    def add_argument(self, *names: str, **settings: Any) -> None:
        if not any(name in self._parser._option_string_actions for name in names):
            self.actions.append(self._parser.add_argument(*names, **settings))


def _spell(action: argparse.Action, values: argparse.Namespace) -> Iterator[str]:
    """A flag as a command line has it; nothing if it has its default."""
    value = getattr(values, action.dest)
    if value == action.default:
        return
    for each in value if isinstance(value, list) else [value]:
        yield action.option_strings[0] if each is True else f"{action.option_strings[0]}={each}"
