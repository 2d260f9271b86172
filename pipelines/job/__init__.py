"""The job as a command.

Takes the command line; returns an exit code, and prints a summary on standard output.
It names no runner and no format; it imports Beam, which `pipelines.score` silences first.
"""

from pipelines.job.options import parse_arguments
from pipelines.job.plan import Plan, prepare
from pipelines.job.run import execute, run_command

__all__ = ["Plan", "execute", "parse_arguments", "prepare", "run_command"]
