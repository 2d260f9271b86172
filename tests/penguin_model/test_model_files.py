"""Files that aren't Keras networks, recognized before anything is loaded."""

import os
import warnings
from pathlib import Path

import keras
import pytest

from penguin_model import bundle, model_files
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
        (".keras", "the name must end in .keras or .h5, as NAME.keras does"),
        ("a\nb.keras", "the name has a control character; rename it"),
        ("\x1b[31m.h5", "the name has a control character; rename it"),
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


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_every_damage_is_called_so(suffix: str, tmp_path: Path) -> None:
    """A file that ends early, and an archive that lacks a part or has one that isn't its own."""
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(tmp_path / f"m{suffix}")
    content = (tmp_path / f"m{suffix}").read_bytes()
    ends = [8, 9, 100, 1000, len(content) // 2, len(content) - 1]
    damaged = [content[:end] for end in ends]
    if suffix == ".keras":
        damaged += [content.replace(b"model.weights.h5", b"Model.weights.h5"), spoil(content)]
        damaged += [content.replace(b"config.json", b"Config.json"), content[:-60] + content[-50:]]
    for each in damaged:
        with pytest.raises(ModelError, match="or a damaged one; save it with "):
            bundle.load_network(each, f"m{suffix}")


def spoil(content: bytes) -> bytes:
    """Changes a byte in the middle of the weights."""
    place = content.index(b"\x89HDF") + 5000
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


def test_networks_of_other_code_are_explained(tmp_path: Path) -> None:
    start = keras.Input((2,))
    made = {
        "layer.keras": keras.Sequential([start, Own(2)]),
        "layer.h5": keras.Sequential([start, Own(2)]),
        "initializer.keras": keras.Sequential(
            [start, keras.layers.Dense(2, kernel_initializer=OwnZeros())]
        ),
        "operation.h5": keras.Model(start, keras.ops.sigmoid(keras.layers.Dense(1)(start))),
    }
    for name, model in made.items():
        with warnings.catch_warnings(action="ignore"):
            model.save(tmp_path / name)
        advice = "build the network of Keras' own layers and keras.ops, without Lambda and classes"
        with pytest.raises(ModelError, match=advice) as caught:
            bundle.load_network((tmp_path / name).read_bytes(), name)
        is_hdf5 = name.endswith(".h5")
        assert ("a .h5 file can't hold keras.ops, so save it as .keras" in str(caught.value)) == (
            is_hdf5
        )


class Own(keras.layers.Dense):
    pass


class OwnZeros(keras.initializers.Zeros):
    pass


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"model {tmp_path}: Is a directory"):
        model_files.read(str(tmp_path))


def test_archives_are_explained(shipped_model: Path) -> None:
    content = shipped_model.read_bytes()
    assert model_files.explain(content, ".keras", "the reason") == "the reason"
    assert model_files.explain(content, ".h5", "") == (
        "it is a .keras file; rename it to end in .keras"
    )
    assert "damaged" in model_files.explain(content[:-9], ".keras", "")
