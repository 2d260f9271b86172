"""Reads files into located chunks of good rows, and rejects.

In: input file patterns and the columns a model card asks for. Out: Arrow chunks whose rows carry
their source file and row, shards of rejects, and counts. Never imports scoring or publishing.
"""

from pipelines.reading.format_table import FORMATS
from pipelines.reading.formats import Format
from pipelines.reading.matching import InputFile, Matching
from pipelines.reading.rows import InputColumns
from pipelines.reading.settings import DEFAULT_SIZES, Sizes
from pipelines.reading.transforms import (
    MatchedFiles,
    MatchFilesFn,
    Numbered,
    NumberRowsFn,
    Planned,
    PlanSpansFn,
    ReadSpanFn,
    RowsRead,
    Surveyed,
    SurveyRangeFn,
)

__all__ = [
    "DEFAULT_SIZES",
    "FORMATS",
    "Format",
    "InputColumns",
    "InputFile",
    "MatchFilesFn",
    "MatchedFiles",
    "Matching",
    "NumberRowsFn",
    "Numbered",
    "PlanSpansFn",
    "Planned",
    "ReadSpanFn",
    "RowsRead",
    "Sizes",
    "SurveyRangeFn",
    "Surveyed",
]
