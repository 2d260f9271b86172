"""A job started among foreign files runs none of them, and opens no port."""

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ports, samples
from tests.support.running import PROJECT

# What the commands import, from the standard library and from elsewhere.
NAMES = (
    "apache_beam", "argparse", "collections", "csv", "cryptography", "dataclasses", "grpc", "h5py",
    "json", "keras", "logging", "matplotlib", "numpy", "pandas", "penguin_model", "pickle",
    "pyarrow", "random", "rich", "sklearn", "subprocess", "tempfile", "tensorflow", "zipfile",
)  # fmt: skip


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A night's folder containing modules that leave a trace if they run."""
    folder = tmp_path / "night"
    folder.mkdir()
    (folder / "birds.csv").write_text(
        "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n39,18,181,3750\n"
    )
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"open('ran-{name}', 'w')\nraise SystemExit(99)\n")
    return folder


def run_among(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder, with the project installed elsewhere."""
    paths = [str(PROJECT), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip


# Like a console script, which has its own folder on the module path, not the current one.
SCRIPTS = {
    "score": ("-P", "-c", "from pipelines.score import console; console()"),
    "module": ("-m", "pipelines.score"),
}


@pytest.mark.parametrize("how", SCRIPTS)
def test_a_nights_files_are_data(tmp_path: Path, night: Path, how: str) -> None:
    flags = ("--input", "*.csv", "--output", "out", "--model", str(samples.MODEL), "--report")
    ran = run_among(night, *SCRIPTS[how], *flags)
    assert [path.name for path in night.glob("ran-*")] == []
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("penguin_model.describe", "--model", str(samples.MODEL)),
        ("pipelines.report", "--output", "nowhere"),
    ],
    ids=lambda command: command[0],
)
def test_so_are_those_of_the_other_commands(night: Path, command: tuple[str, ...]) -> None:
    # `python -m` imports the package itself from this folder if it's there.
    (night / "penguin_model.py").unlink()
    run_among(night, "-m", *command)
    assert [path.name for path in night.glob("ran-*")] == []


@ports.LINUX
def test_a_default_job_opens_no_port(tmp_path: Path) -> None:
    """No port is open at any time, in the job's process or one that it starts."""
    seen: set[ports.Listener] = set()
    job = subprocess.Popen(
        [sys.executable, "-m", "pipelines.score", "--output", str(tmp_path / "out"),
         *map(str, samples.FLAGS)],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with ports.watched(job.pid, seen):
        out, _ = job.communicate(timeout=240)
    assert job.returncode == 0, out
    assert seen == set()


@ports.LINUX
def test_a_port_would_be_seen(tmp_path: Path) -> None:
    seen: set[ports.Listener] = set()
    code = "import socket; s = socket.create_server(('', 0)); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        seen |= ports.listeners(ports.descendants(os.getpid()))
        child.communicate(b"\n")
    assert any(not each.is_loopback for each in seen)


def test_nothing_of_a_users_is_unpickled() -> None:
    """Models, cards and observations are never read with a loader that can run code."""
    refused = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    calls = {"read_pickle", "eval", "exec", "np.load", "yaml.load"}
    for path in [*PROJECT.glob("pipelines/**/*.py"), *PROJECT.glob("penguin_model/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not refused & {name.name for name in node.names}, path
            if isinstance(node, ast.ImportFrom):
                assert node.module not in refused, path
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in calls, path


def test_a_model_is_loaded_from_the_bytes_that_were_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that replaces the model after the check isn't loaded."""
    import keras

    from penguin_model import bundle
    from penguin_model.card import read_card

    card = read_card(str(samples.MODEL))
    model = tmp_path / "model.keras"
    model.write_bytes(samples.MODEL.read_bytes())
    really_load = keras.saving.load_model

    def swap(path: str, **settings: object) -> object:
        model.write_bytes(b"another")
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == card.sha256
        return really_load(path, **settings)

    monkeypatch.setattr(keras.saving, "load_model", swap)
    assert bundle.load_with_card(str(model), card).card == card


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_with_code_in_it_is_refused(tmp_path: Path, suffix: str) -> None:
    import keras

    from penguin_model import bundle
    from penguin_model.card import read_card
    from pipelines.errors import ModelError

    card = read_card(str(samples.MODEL))
    model = keras.Sequential(
        [keras.Input([4]), keras.layers.Lambda(lambda x: x), keras.layers.Dense(3)]
    )
    path = str(tmp_path / f"model{suffix}")
    bundle.save(model, path, card)
    with pytest.raises(ModelError, match="Keras cannot load it"):
        bundle.load(path)
