"""Every way of reading a file gives what one plain reading gives, row by row."""

import gzip
import io
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines import gzipped
from pipelines.blocks import Wanted
from tests import plain_reading
from tests.reading import LENGTH, MASS, csv_in_ranges, csv_whole, in_a_pack

WANTED = Wanted(
    features=(LENGTH, MASS), passthrough=("id", "mass"), label="kind", classes=("Adelie", "Gentoo")
)
BOM = b"\xef\xbb\xbf"

NUMBERS = st.one_of(
    st.floats(0.5, 9000).map(repr),
    st.integers(100, 300).map(str),
    st.sampled_from(["1.5", "200", "300.0", "0.5", "300.00000000000001", "2e2", "+150", "0150."]),
)
# Near a number, or near a word that stands for one or for none.
STEMS = st.sampled_from(
    ["nan", "inf", "infinity", "nan(1)", "null", "n/a", "NA", "1.#IND", "150", "1.5e2", "0x10"]
)
SPICE = st.sampled_from(["", "", "+", "-", " ", "\t", "\u00a0", "\u2003", "(", ")", "_", "e", "."])


@st.composite
def near_numbers(draw: Any) -> str:
    word = "".join(draw(st.sampled_from([c.lower(), c.upper()])) for c in draw(STEMS))
    place = draw(st.integers(0, len(word)))
    return draw(SPICE) + word[:place] + draw(SPICE) + word[place:] + draw(SPICE)


VALUES = st.one_of(
    NUMBERS, NUMBERS, near_numbers(), st.text("0159+-.eE", max_size=6),
    st.sampled_from(["", " ", "NA", "39,1", "x", "-1", "1e400", "1\0", "\0", "1\n", "٣"]),
)  # fmt: skip
IDS = st.text('ab,"\n\r é\u00a0\0', max_size=5) | st.sampled_from(["", "NA", "007", "\ufeff"])
KINDS = st.sampled_from(
    ["Adelie", "gentoo ", "0", "1.0", "1.00", "+1", "", "NAN", "x", "2", "\xff"]
)
NAMES = {"id": IDS, "length": VALUES, "mass": VALUES, "kind": KINDS, "note": IDS}


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@st.composite
def csv_lines(draw: Any, names: list[str]) -> str:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(["", "", " ", "\t", '""', ",", ",,,", "\ufeff", '"']))
    fields = [draw(NAMES.get(name, IDS)) for name in names]
    if draw(st.integers(0, 2)):  # mostly good rows
        for name, values in {"length": NUMBERS, "mass": st.just("150")}.items():
            if name in names:
                fields[names.index(name)] = draw(values)
    if draw(st.integers(0, 9)) == 0:
        fields = (
            fields[: draw(st.integers(1, len(fields)))] if draw(st.booleans()) else [*fields, ""]
        )
    everything = draw(st.integers(0, 3)) == 0
    odd = draw(st.integers(0, 19)) == 0  # nothing is quoted, whatever it holds
    return ",".join(
        quoted(each) if not odd and (everything or set(each) & set('",\r\n')) else each
        for each in fields
    )


@st.composite
def csv_bytes(draw: Any) -> bytes:
    names = draw(
        st.sampled_from(
            [["id", "length", "mass"]] * 3
            + [["id", "length", "mass", "kind", "note"], ["note", "mass", "kind", "id", "length"]]
            + [["note", "id", "length", "mass", "note"], ["mass", "id", "length", 'x\n"y']]
            + [["id"], ["id", "length", "mass", "mass"], ["id", "length", "mass", "kind", "kind"]]
        )
    )
    spelt = [draw(st.sampled_from([name, name, quoted(name), f" {name} "])) for name in names]
    lines = draw(st.lists(csv_lines(names), max_size=8))
    ends = st.sampled_from(draw(st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r", "\r\n"]])))
    blank = "".join(draw(st.lists(ends, max_size=2)))
    header = ",".join(
        quoted(name) if '"' in name and text == name else text
        for name, text in zip(names, spelt, strict=True)
    )
    text = blank + "".join(line + draw(ends) for line in [header, *lines])
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    data = draw(st.sampled_from([b"", BOM])) + text.encode()
    # What a disk, an editor or a bad export does to a file.
    splice = draw(st.sampled_from([b""] * 5 + [b'"', b"\xff", b"\0", b"\r", b"\n", BOM, b" \n"]))
    place = draw(st.integers(0, len(data)))
    return data[:place] + splice + data[place:]


@settings(max_examples=400)
@given(csv_bytes(), st.integers(1, 60), st.integers(1, 60))
@example(BOM + b"\nid,length,mass\na,1,500\nb,2,500\nc,3,500\n", 8, 100)
@example(b"\nid,length,mass", 100, 100)
@example(b"id,length,mass\na,NAN,500\nb,1,500\n", 100, 100)
@example(b"id,length,mass\na,NAN,500\nb,x,500\n", 100, 100)
@example(BOM + b'"id","length","ma\nss",mass\na,1,,500\n', 8, 8)
def test_every_way_of_reading_a_csv(data: bytes, step: int, block_bytes: int) -> None:
    expected = plain_reading.csv_file(data, WANTED)
    assert csv_whole(io.BytesIO(data), WANTED, 1 << 20) == expected
    assert csv_whole(io.BytesIO(data), WANTED, block_bytes) == expected
    assert csv_in_ranges(data, WANTED, step, block_bytes) == expected
    members = gzip.compress(data[:step]) + gzip.compress(data[step:])
    gzipped.check(io.BytesIO(members))
    assert csv_whole(gzipped.unzipped(io.BytesIO(members)), WANTED, block_bytes) == expected


@given(st.lists(csv_bytes(), min_size=2, max_size=5))
def test_a_pack_of_csv_files(contents: list[bytes]) -> None:
    expected = [plain_reading.csv_file(data, WANTED) for data in contents]
    assert in_a_pack(contents, WANTED) == expected
