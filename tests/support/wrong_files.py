"""A folder of files that are wrong in ways that stations send them, and two that are right."""

import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass"
ROWS = "39.1,18.7,181,3750\n46.1,13.2,211,4500\n"
GOOD = f"{HEADER}\n{ROWS}"
COLUMNS = {
    "CulmenLength": [39.1, 46.1], "CulmenDepth": [18.7, 13.2], "FlipperLength": [181, 211],
    "BodyMass": [3750, 4500],
}  # fmt: skip


def write_wrong_files(folder: Path) -> None:
    """Writes the files; each is named after what is wrong with it."""
    folder.mkdir(parents=True)

    def write(name: str, content: str | bytes) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)

    write("good.csv", GOOD)
    write("good_too.csv", GOOD)
    write("missing.csv", "id," + GOOD.replace(",BodyMass", ",note"))
    write("misspelt.csv", GOOD.replace("CulmenLength", "CulmenLenght"))
    semicolons = "\n".join(line.replace(",", ";") for line in GOOD.split("\n"))
    write("semicolons.csv", semicolons.replace("39.1;18.7", "39,1;18,7"))
    write("utf_16.csv", GOOD.encode("utf-16"))
    write("empty.csv", "")
    write("no_header.csv", ROWS)
    write("twice.csv", GOOD.replace("BodyMass", "BodyMass,BodyMass").replace("50\n", "50,1\n"))
    with zipfile.ZipFile(folder / "zip.csv", "w") as archive:
        archive.writestr("birds.csv", GOOD)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(COLUMNS), sink)
    write("torn.parquet", sink.getvalue().to_pybytes()[:-20])
    write("notes.docx", b"PK\x03\x04")
    pq.write_table(pa.table(COLUMNS | {"BodyMass": [True, False]}), folder / "boolean.parquet")
    write("other_case.csv", GOOD.replace(HEADER, HEADER.upper()))
    palmer = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "species"]
    species = ["Adelie Penguin (Pygoscelis adeliae)", "Gentoo penguin (Pygoscelis papua)"]
    table = pa.table([*COLUMNS.values(), species], names=palmer)
    pyarrow.feather.write_feather(table, str(folder / "palmer.feather"))
