"""The wheel, in an environment without the project's folder: it brings the model along."""

import site
import sys
import zipfile
from pathlib import Path

import pytest

from penguin_model.card import DEFAULT_MODEL, card_path, default_model, onnx_path
from tests.support.running import PROJECT, manifest, published
from tests.support.wheels import build_wheel, run

MODEL_FILES = {DEFAULT_MODEL, onnx_path(DEFAULT_MODEL), card_path(DEFAULT_MODEL)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `build_wheel` makes it."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an environment of its own, with this one's packages behind it."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin/python"
    (packages,) = folder.glob("lib/python*/site-packages")
    # A folder that is named so isn't searched for .pth files, one of which names the project.
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index")
    run(*pip, "--no-deps", "--ignore-installed", wheel, cwd=folder)
    return folder


def test_the_wheel_holds_the_shipped_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if name.startswith("penguin_model/models/")}
        assert names == {f"penguin_model/{name}" for name in MODEL_FILES}
        for name in MODEL_FILES:
            assert packed.read(f"penguin_model/{name}") == (PROJECT / name).read_bytes()


@pytest.mark.slow
def test_the_installed_commands_find_it_in_an_empty_folder(
    environment: Path, tmp_path: Path
) -> None:
    bird = ("--culmen_length=50.4", "--culmen_depth=15.3", "--flipper_length=200")
    said = run(environment / "bin/penguin-predict", *bird, "--body_mass=5000", cwd=tmp_path)
    assert said.startswith("Gentoo\n")
    night = PROJECT / "data/observations/dream-2007.csv"
    flags = ("--input", night, "--output", "out", "--run_id=test")
    run(environment / "bin/penguin-score", *flags, cwd=tmp_path)
    assert published(tmp_path / "out", "predictions").num_rows > 0
    used = Path(manifest(tmp_path / "out")["model"]["path"])
    assert used.is_relative_to(environment)


def test_a_model_in_the_working_folder_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_model() == str(PROJECT / DEFAULT_MODEL)
    (tmp_path / DEFAULT_MODEL).parent.mkdir()
    (tmp_path / DEFAULT_MODEL).touch()
    assert default_model() == DEFAULT_MODEL
