"""Files that aren't Keras networks, recognized before anything is loaded."""

import os
from pathlib import Path

import pytest

from penguin_model import model_files
from penguin_model.errors import ModelError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m.weights.h5", "has weights without their network; load them into it and save it with "),
        ("M.WEIGHTS.H5", "has weights without their network"),
        ("m.hdf5", "rename it to end in .h5"),
        ("m.json", "without its weights"),
        ("saved_model.pb", "is a TensorFlow graph"),
        ("m.tflite", "is a TensorFlow Lite model; only a network that Keras saved"),
        ("m.onnx", "is an ONNX model"),
        ("m.pkl", "is a pickle, which can run any code"),
        ("m.joblib", "is a pickle"),
        ("m.pt", "is a PyTorch model"),
        ("m.KERAS", "the name must end in .keras or .h5"),
        ("m", "the name must end in .keras or .h5"),
    ],
)
def test_other_files_are_refused_by_name(name: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match=message) as caught:
        model_files.check(str(path))
    assert str(caught.value).startswith(f"model {path}: ")


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/saved_model.pb").touch()
    for name, message in (
        ("pipe.keras", "is not a file"),
        ("folder.keras", "is a folder; only a network that Keras saved"),
        ("saved", "is a SavedModel; load it where it was made and save it with model.save"),
        ("missing.keras", "No such file"),
    ):
        with pytest.raises(ModelError, match=message):
            model_files.check(str(tmp_path / name))


def test_names_of_keras_pass(shipped_model: Path, tmp_path: Path) -> None:
    model_files.check(str(shipped_model))
    (tmp_path / "x.h5").touch()
    model_files.check(str(tmp_path / "x.h5"))


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"", ".keras", "the file is empty"),
        (b"hello", ".keras", "it isn't a .keras file, or a damaged one; save it with "),
        (b"hello", ".h5", "it isn't a .h5 file, or a damaged one"),
        (b"\x89HDF\r\n\x1a\n", ".keras", "it is an HDF5 file; rename it to end in .h5"),
        (b"\x89HDF\r\n\x1a\n", ".h5", "the reason"),
    ],
)
def test_what_keras_cannot_load_is_explained(content: bytes, suffix: str, message: str) -> None:
    assert model_files.explain(content, suffix, "the reason").startswith(message)


def test_archives_are_explained(shipped_model: Path) -> None:
    content = shipped_model.read_bytes()
    assert model_files.explain(content, ".keras", "the reason") == "the reason"
    assert model_files.explain(content, ".h5", "") == (
        "it is a .keras file; rename it to end in .keras"
    )
    assert "damaged" in model_files.explain(content[:-9], ".keras", "")
