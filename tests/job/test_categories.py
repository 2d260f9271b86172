"""A model of numbers and categories, from its files in any format to its report and its flags."""

import dataclasses
import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penguin_model import bundle, card_page, describe, predict, trust
from penguin_model.card import Category, Feature, ModelCard, card_path, read_card
from penguin_model.features import normalize
from penguin_model.trust import TrustScorer
from pipelines.datasets import schemas
from pipelines.report import __main__ as report_command
from pipelines.scoring import transforms
from tests.support import mixed
from tests.support.running import PLAIN, manifest, published, run_here, run_small_pieces
from tests.support.runs import act

Captured = pytest.CaptureFixture[str]
ISLANDS = ("Torgersen", "Biscoe", "Dream")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(mixed.mixed_bundle(tmp_path_factory.mktemp("mixed")))


def write_files(folder: Path, rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Writes the same birds in every format; returns the rows of each file."""
    frame = pd.DataFrame(rows)
    upper = frame.assign(island=frame["island"].str.upper() + " ", sex=frame["sex"].str.title())
    contents = {
        "a.csv": upper.to_csv(index=False).encode(),
        "b.csv": frame.rename(columns={"island": "Isle"}).to_csv(index=False, quoting=1).encode(),
        "c.csv.gz": gzip.compress(frame.to_csv(index=False).encode()),
        "d.tsv": frame.to_csv(index=False, sep="\t").encode(),
    }
    table = pa.Table.from_pandas(frame, preserve_index=False)
    place = table.schema.get_field_index("island")
    stored = {
        "text": table,
        "dictionary": table.set_column(
            place, "island", table.column("island").combine_chunks().dictionary_encode()
        ),
        "bytes": table.set_column(place, "island", table.column("island").cast(pa.binary())),
    }
    for name, each in stored.items():
        out, arrow = io.BytesIO(), io.BytesIO()
        pq.write_table(each, out, row_group_size=7)
        with pa.ipc.new_file(arrow, each.schema) as writer:
            writer.write_table(each, max_chunksize=7)
        contents |= {f"{name}.parquet": out.getvalue(), f"{name}.arrow": arrow.getvalue()}
    found = dict.fromkeys(contents, rows)
    for island in ISLANDS:
        # As Hive, Spark and pyarrow write a data set that is partitioned by a column.
        some = [row for row in rows if row["island"] == island]
        bare = pd.DataFrame(some).drop(columns="island")
        contents[f"island={island}/e.csv"] = bare.to_csv(index=False).encode()
        out = io.BytesIO()
        bare.to_parquet(out)
        contents[f"island={island}/f.parquet"] = out.getvalue()
        found |= {f"island={island}/{name}": some for name in ("e.csv", "f.parquet")}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return found


@pytest.mark.parametrize("small", [False, True])
def test_predictions_equal_keras_on_a_matrix_made_by_hand(
    model: Path, tmp_path: Path, small: bool
) -> None:
    rows = mixed.texts(mixed.birds(40, seed=7)[0])
    files = write_files(tmp_path / "in", rows)
    flags = ("--input", tmp_path / "in", "--model", model, "--passthrough", "island,sex", *PLAIN)
    out = tmp_path / "out"
    if small:
        run_small_pieces(out, *flags)
    else:
        assert run_here(out, *flags) == 0
    found = published(out, "predictions").to_pandas()
    assert manifest(out)["totals"]["rows_rejected"] == 0
    network = bundle.load(str(model)).model
    for name, expected in files.items():
        mine = found[found["source_file"] == str(tmp_path / "in" / name)]
        answers = network.predict(mixed.matrix_of(expected), verbose=0)
        columns = [f"probability_{each.lower()}" for each in mixed.CLASSES]
        np.testing.assert_allclose(mine[columns].to_numpy(), answers, rtol=1e-5, atol=1e-6)
        assert [each.strip().title() for each in mine["island"]] == [
            row["island"] for row in expected
        ]
        assert [each.lower() for each in mine["sex"]] == [row["sex"] for row in expected]
        assert mine["species"].tolist() == [mixed.CLASSES[n] for n in answers.argmax(axis=1)]
    counts = manifest(out)["histograms"]["features"]["island"]
    islands = [row["island"] for some in files.values() for row in some]
    assert counts == {
        "edges": [0.5, 1.5], "counts": [islands.count(name) for name in ISLANDS]
    }  # fmt: skip


def test_a_bad_category_is_a_reject_with_its_reason(
    model: Path, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "in"
    good = "Dream,46,male,3700\n" * 97
    bad = "Atlantis,46,male,3700\nDream,46,NA,3700\n,46,?,3700\n"
    header = "island,CulmenLength,sex,BodyMass\n"
    for name in ("a", "island=Atlantis/b", "island=__HIVE_DEFAULT_PARTITION__/c", "sex=male/d"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "a.csv").write_text(header + good + bad)
    (folder / "island=Atlantis/b.csv").write_text("CulmenLength,sex,BodyMass\n46,male,3700\n")
    (folder / "island=__HIVE_DEFAULT_PARTITION__/c.csv").write_text(
        "CulmenLength,sex,BodyMass\n46,male,3700\n"
    )
    # A file's own column counts, and a number is never read from a path.
    (folder / "sex=male/d.csv").write_text(header + "Dream,46,female,3700\n")
    (folder / "BodyMass=3700").mkdir()
    (folder / "BodyMass=3700/e.csv").write_text("island,CulmenLength,sex\nDream,46,male\n")
    (folder / "f.csv").write_text("CulmenLength,sex,BodyMass\n46,male,3700\n")
    out = tmp_path / "out"
    flags = ("--model", model, "--passthrough", "sex", "--max_unreadable_files", 2, *PLAIN)
    assert run_here(out, "--input", folder, *flags) == 0
    said = capsys.readouterr().out
    found = {
        (Path(row["source_file"]).name, row["source_row"]): row
        for row in published(out, "rejects").to_pylist()
    }
    assert {place: (row["reason"], row["column"]) for place, row in found.items()} == {
        ("a.csv", 97): ("unknown_category", "island"),
        ("a.csv", 98): ("missing_value", "sex"),
        ("a.csv", 99): ("missing_value", "island"),
        ("b.csv", 0): ("unknown_category", "island"),
        ("c.csv", 0): ("missing_value", "island"),
        ("e.csv", None): ("missing_column", "BodyMass"),
        ("f.csv", None): ("missing_column", "island"),
    }
    message = "island is 'Atlantis', which isn't one of Torgersen, Biscoe, Dream"
    assert found["a.csv", 97]["message"] == found["b.csv", 0]["message"] == message
    assert found["a.csv", 99]["message"] == (
        "island is missing; sex is '?', which isn't one of female, male"
    )
    assert found["a.csv", 97]["raw"] == "Atlantis,46,male,3700"
    assert manifest(out)["rejects_by_reason"]["unknown_category"] == 2
    assert message in said
    scored = published(out, "predictions").to_pandas()
    (carried,) = scored[scored["source_file"].str.endswith("d.csv")]["sex"]
    assert carried == "female"


def test_a_text_outside_the_vocabulary_may_have_a_code(model: Path, tmp_path: Path) -> None:
    fields = json.loads(Path(card_path(str(model))).read_text())
    fields["features"][0]["out_of_vocabulary"] = 2
    other = tmp_path / "other.keras"
    other.write_bytes(model.read_bytes())
    Path(card_path(str(other))).write_text(json.dumps(fields | {"model_file": "other.keras"}))
    (tmp_path / "in.csv").write_text(
        "island,CulmenLength,sex,BodyMass\nAtlantis,46,male,3700\nDream,46,male,3700\n"
        ",46,male,3700\nnull,46,male,3700\n"
    )
    out = tmp_path / "out"
    limit = ("--max_reject_fraction", 1)
    assert run_here(out, "--input", tmp_path / "in.csv", "--model", other, *limit, *PLAIN) == 0
    first, second = published(out, "predictions").to_pylist()
    assert first | {"source_row": 1} == second
    # Nothing is never made up.
    assert manifest(out)["rejects_by_reason"] == {"missing_value": 2}


def test_drift_is_told_by_category(model: Path, tmp_path: Path, capsys: Captured) -> None:
    rows = mixed.texts(mixed.birds(600, seed=3)[0])
    pd.DataFrame([row | {"island": "Biscoe"} for row in rows]).to_csv(tmp_path / "in.csv")
    out = tmp_path / "out"
    flags = ("--input", tmp_path / "in.csv", "--model", model, *PLAIN)
    assert run_here(out, *flags) == 0
    assert re.search(r"drift .*\(.*island", capsys.readouterr().out)
    text = page_of(out, tmp_path)
    known = read_card(str(model)).reference
    assert known is not None
    counts = known.features["island"].counts
    training = f"{100 * counts[1] / sum(counts):.1f}%"
    assert f"Biscoe: 100.0% of rows, {training} in training" in text
    assert "0.5 to 1.5" not in text
    # Names stay as files spell them.
    assert "island: this run vs. training" in text
    assert "Island" not in text
    for name in ISLANDS:
        assert f">{name}<" in text


def test_a_night_isnt_judged_by_a_card_that_was_corrected_since(
    model: Path, tmp_path: Path, capsys: Captured
) -> None:
    other = tmp_path / "mixed.keras"
    other.write_bytes(model.read_bytes())
    content = Path(card_path(str(model))).read_text()
    card = Path(card_path(str(other)))
    card.write_text(content)
    out = tmp_path / "out"
    pd.DataFrame(mixed.texts(mixed.birds(300, seed=3)[0])).to_csv(tmp_path / "in.csv")
    flags = ("--input", tmp_path / "in.csv", "--model", other)
    assert run_here(out, *flags, "--run_id", "test") == 0
    assert run_here(out, *flags, "--run_id", "same") == 0
    fields = json.loads(content)
    fields["features"][0]["categories"].reverse()
    card.write_text(json.dumps(fields))
    assert run_here(out, *flags, "--run_id", "corrected") == 0
    found = [manifest(out, name)["drift"]["baseline_runs"] for name in ("same", "corrected")]
    assert found == [["test"], []]
    capsys.readouterr()
    assert act(out, "verify", "test", "--replay", 5) == 1
    said = capsys.readouterr().out
    assert f"the card of {other} has other features or classes than the run" in said
    text = page_of(out, tmp_path)
    assert "has other features or classes than when this run was scored" in text
    assert ">Torgersen<" not in text


def page_of(out: Path, folder: Path) -> str:
    path = folder / "page.html"
    flags = ["--output", str(out), "--run_id", "test", "--to", str(path)]
    assert report_command.main(flags) == 0
    return path.read_text()


def test_a_card_is_described_by_its_vocabulary(model: Path) -> None:
    card = read_card(str(model))
    text = "\n".join(describe.card_lines(card))
    assert "Torgersen, Biscoe, Dream" in text
    assert "one number for each text" in text
    assert "the text's place, from 0 to 1" in text
    assert "other texts" not in text
    open_island = dataclasses.replace(mixed.ISLAND, out_of_vocabulary=2)
    other = dataclasses.replace(card, features=(open_island, *card.features[1:]))
    assert "one number for each text; other texts are as Dream" in "\n".join(
        describe.card_lines(other)
    )
    page = card_page.render(card)
    assert "Torgersen, Biscoe, Dream" in page
    assert "below 0.5" not in page


def observe(model: Path, *changes: str) -> list[str]:
    flags = ["--island=Biscoe", "--culmen_length=47", "--sex=female", "--body_mass=5000"]
    return ["--model", str(model), *flags, *changes]


def test_one_observation(model: Path, capsys: Captured) -> None:
    assert predict.main([*observe(model), "--json", "--island= biscoe"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["species"] == "Gentoo"
    assert answer["observation"] == {
        "island": "Biscoe", "CulmenLength": 47.0, "sex": "female", "BodyMass": 5000.0
    }  # fmt: skip
    row = {"island": "Biscoe", "CulmenLength": 47.0, "sex": "female", "BodyMass": 5000}
    network = bundle.load(str(model)).model
    (expected,) = network.predict(mixed.matrix_of([row]), verbose=0)
    assert list(answer["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--island=Biscoo", "must be one of Torgersen, Biscoe, Dream; did you mean Biscoe?"),
        ("--sex=", "--sex : sex must be one of female, male"),
        ("--sex=1", "sex must be one of female, male"),
        ("--culmen_length=Biscoe", "CulmenLength must be a number from 20 to 80 mm"),
    ],
)
def test_a_text_outside_the_vocabulary_is_refused(
    model: Path, flag: str, message: str, capsys: Captured
) -> None:
    assert predict.main(observe(model, flag)) == 2
    assert message in capsys.readouterr().err


def test_help_shows_the_vocabulary(model: Path, capsys: Captured) -> None:
    assert predict.main(["--model", str(model), "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--island TEXT island: Torgersen, Biscoe, Dream" in said
    assert "--island=Torgersen --culmen-length=50" in said.replace("_", "-")


def test_known_birds_are_near_and_strange_ones_far(model: Path) -> None:
    card = read_card(str(model))
    assert card.trust is not None
    scorer = TrustScorer(card)

    def is_far(raw: Any) -> Any:
        return scorer.is_far(scorer.measure(normalize(list(raw.T), card.features)))

    assert is_far(mixed.birds(2000, seed=11)[0]).mean() < 0.03
    # An Adelie of each island and sex.
    both = [
        [island, 39.0 + 2 * sex, sex, 3700.0 + 400 * sex] for island in range(3) for sex in (0, 1)
    ]
    assert not is_far(np.array(both)).any()
    assert is_far(np.array([[1.0, 30.0, 0.0, 8000.0]])).all()


@pytest.mark.parametrize("one_hot", [True, False])
def test_a_rare_text_is_not_absurdly_far(one_hot: bool) -> None:
    random = np.random.default_rng(0)
    place = Category(name="place", categories=tuple("abcdefghij"), one_hot=one_hot)
    size = Feature(name="size", unit="m", scale=1.0, minimum=-50.0, maximum=50.0)
    # One row in five hundred is from the last place.
    codes = np.where(np.arange(3000) % 500 == 7, 9.0, random.integers(0, 2, 3000))
    raw = np.column_stack([codes, random.normal(size=3000)])
    labels = np.arange(3000) % 2
    matrix = normalize(list(raw.T), (place, size)).astype(np.float64)
    rare = codes == 9
    found = trust.held_out_distances(matrix, labels, (place, size))
    assert found[rare].max() < 6
    assert found[~rare].max() < 6
    # As if they were numbers, whatever is rare would be as strange as a giant.
    assert trust.held_out_distances(matrix, labels)[rare].min() > 8
    giant = np.vstack([matrix, matrix[:1]])
    giant[-1, -1] = 30.0
    assert trust.held_out_distances(giant, np.append(labels, 0), (place, size))[-1] > 20


@pytest.mark.parametrize(("texts", "classes"), [(1000, 2), (20, 1000)])
def test_many_texts_or_classes_make_a_matrix_in_parts(
    texts: int, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Category(name="place", categories=tuple(map(str, range(texts))))
    card = ModelCard(
        name="wide", model_file="", sha256="", features=(place,),
        classes=tuple(map(str, range(classes))),
    )  # fmt: skip
    monkeypatch.setattr(transforms, "_MATRIX_BYTES", 4 * 1000 * 7)
    codes = np.arange(20) * 31.0 % texts
    chunk = pa.RecordBatch.from_arrays(
        [schemas.constant("f", 20), pa.array(range(20)), pa.array(codes)],
        schema=schemas.observations((), card.features),
    )
    *batches, counts = transforms.NormalizeFn(card, ()).process(chunk)
    assert [each.num_rows for each in batches] == [7, 7, 6]
    rows = [row for each in batches for row in each.column("source_row").to_pylist()]
    assert rows == list(range(20))
    matrix = np.concatenate([np.column_stack(each.columns[2:]) for each in batches])
    np.testing.assert_array_equal(matrix.argmax(axis=1), codes)
    np.testing.assert_array_equal(matrix.sum(axis=1), 1)
    assert counts is not None
