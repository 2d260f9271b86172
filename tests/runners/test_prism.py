"""The job on Prism: the same rows, totals and exit codes, and nothing left behind."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
from apache_beam.version import __version__ as beam_version

from deploy.prism import build
from pipelines.errors import UsageError
from pipelines.publishing import reconcile
from pipelines.runners import beam_private
from pipelines.runners import prism as runner
from tests.support import flink, ports, prism, samples
from tests.support.running import (
    PROJECT,
    listing,
    published,
    run_here,
    run_small_pieces,
)

needs_prism = pytest.mark.skipif(bool(prism.why_not()), reason=f"no Prism: {prism.why_not()}")
# What Go records in a program that it builds from Prism's package.
MARK = "path\tgithub.com/apache/beam/sdks/v2/go/cmd/prism\n"
FILES, ROWS = 6, 1_600_000
HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"


@needs_prism
def test_gives_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where a proxy is set, which can't reach this machine's loopback."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert run_here(tmp_path, *samples.FLAGS, *prism.FLAGS, "--no-progress") == 0
    samples.assert_golden(tmp_path)
    samples.assert_equals_keras(tmp_path)
    shown = capsys.readouterr()
    assert shown.err == ""
    # Workers are threads of this process, which may have loaded the model before.
    assert re.search(r"model loads [01]\)", shown.out)


@needs_prism
def test_ranges_of_large_files_give_the_same(tmp_path: Path) -> None:
    birds = tmp_path / "birds.csv"
    rows = (f"39.{n % 10},18.7,{180 + n % 50},3750\n" for n in range(900))
    birds.write_text(HEADER + "".join(rows))
    local, here = tmp_path / "local", tmp_path / "prism"
    flags = ("--input", birds, "--run_id=test", "--engine=onnx")
    expected = run_small_pieces(local, *flags)
    # As in the command: the workers' threads lose their connection when the server ends.
    with beam_private.quiet_workers():
        found = run_small_pieces(here, *flags, *prism.FLAGS)
    assert found["model"] == expected["model"]
    assert found["model"]["engine"] == "onnx"
    assert found["totals"] == expected["totals"]
    assert found["totals"]["rows_scored"] == 900
    assert found["shards"]["predictions"]["files"] > 1
    assert published(here, "predictions").equals(published(local, "predictions"))


@needs_prism
def test_too_many_rejects_are_held_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dirty, output = tmp_path / "dirty.csv", tmp_path / "out"
    dirty.write_text(f"{HEADER}1,2,3,4\n39,18,181,3750\n")
    flags = ("--input", dirty, "--run_id=test", "--no-progress", *prism.FLAGS)
    assert run_here(output, *flags) == 3
    shown = capsys.readouterr()
    assert "50.0% of the rows were rejected" in shown.err
    assert "out_of_range 1" in shown.out
    assert not (output / "runs").exists()


@needs_prism
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageError("the card is of another model"), 2, "the card is of another model"),
        (ZeroDivisionError("division by zero"), 1, "ZeroDivisionError: division by zero"),
    ],
    ids=["ours", "another's"],
)
def test_a_failure_of_a_step_is_one_line(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: int,
    message: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(reconcile, "reconcile", fail)
    output = tmp_path / "out"
    flags = ("--input", samples.OBSERVATIONS, "--no-progress", *prism.FLAGS)
    assert run_here(output, *flags) == code
    # Whatever the workers, Prism and its supervisor write.
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("penguin-score: error: ")
    assert message in line
    assert listing(output) == []


@pytest.fixture(scope="module")
def observations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough rows that something can happen while they are scored."""
    folder = tmp_path_factory.mktemp("birds") / "files"
    flink.write_observations(folder, FILES, ROWS)
    return folder


def await_end(pids: set[int]) -> None:
    """Waits for the end of processes that aren't this one's children."""
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)


def prism_of(pid: int) -> int:
    """The process id of a job's Prism."""
    program = runner.BUILT.resolve()
    (found,) = (
        each for each in ports.descendants(pid) if Path(f"/proc/{each}/exe").resolve() == program
    )
    return found


@needs_prism
@pytest.mark.slow
@ports.LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_job_and_server(tmp_path: Path, observations: Path, number: int) -> None:
    output = tmp_path / "out"
    running = flink.Running(output, "--input", observations, *prism.FLAGS)
    pids: set[int] = set()

    def send() -> None:
        pids.update(ports.descendants(running.process.pid))
        running.process.send_signal(number)

    running.once_staged(send)
    code, out, err = running.end()
    assert code == 128 + number
    assert out == ""
    (line,) = err.splitlines()
    assert line.endswith("nothing is published")
    assert len(pids) == 3
    await_end(pids)
    assert listing(output) == []


@needs_prism
@pytest.mark.slow
@ports.LINUX
def test_a_killed_command_takes_its_server_with_it(tmp_path: Path, observations: Path) -> None:
    running = flink.Running(tmp_path / "out", "--input", observations, *prism.FLAGS)
    pids: set[int] = set()

    def kill() -> None:
        pids.update(ports.descendants(running.process.pid))
        running.process.kill()

    running.once_staged(kill)
    code, _, _ = running.end()
    assert code == -signal.SIGKILL
    assert len(pids) == 3
    await_end(pids)


@needs_prism
@pytest.mark.slow
@ports.LINUX
def test_a_killed_server_ends_the_run(tmp_path: Path, observations: Path) -> None:
    output = tmp_path / "out"
    running = flink.Running(output, "--input", observations, *prism.FLAGS)
    running.once_staged(lambda: os.kill(prism_of(running.process.pid), signal.SIGKILL))
    code, _, err = running.end()
    assert (code, err.count("\n")) == (1, 1), err
    assert err.startswith("penguin-score: error: the connection to the runner was lost: ")
    assert listing(output) == []


@needs_prism
@pytest.mark.slow
@ports.LINUX
def test_two_runs_at_once_open_no_port_but_their_pools(tmp_path: Path, observations: Path) -> None:
    """Each has its own Prism, on a Unix socket."""
    runs = [flink.Running(tmp_path / name, "--input", observations, *prism.FLAGS) for name in "ab"]
    opened: list[set[ports.Listener]] = [set(), set()]
    with (
        ports.watched(runs[0].process.pid, opened[0]),
        ports.watched(runs[1].process.pid, opened[1]),
    ):
        for run in runs:
            code, _, err = run.end()
            assert (code, err) == (0, "")
            flink.assert_all_rows_once(run.output, FILES, ROWS)
    ((pool,), (other,)) = opened
    assert pool.is_loopback
    assert other.is_loopback
    assert pool.port != other.port


# --- which program


@pytest.fixture
def no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BUILT", tmp_path / "nothing")
    monkeypatch.setenv("PATH", str(tmp_path))


def write_program(path: Path, text: str, *, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.usefixtures("no_program")
def test_the_program_is_never_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_program(tmp_path / "prism", "#!/bin/sh\nexit 1\n")
    locked = write_program(tmp_path / "locked", MARK, mode=0o644)
    table = {
        "": f"{other} isn't Beam's Prism",
        "https://github.com/apache/beam/releases/tag/v2.77.0": "the job downloads no programs",
        "gs://bucket/prism": "the job downloads no programs",
        str(tmp_path / "no-such"): "no such file",
        str(tmp_path): "no such file",
        str(locked): "isn't executable; chmod +x it",
    }
    output = tmp_path / "out"
    for location, message in table.items():
        flags = [f"--prism_location={location}"] if location else []
        assert run_here(output, "--input", samples.OBSERVATIONS, *prism.FLAGS, *flags) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    other.unlink()
    assert run_here(output, "--input", samples.OBSERVATIONS, *prism.FLAGS) == 2
    assert capsys.readouterr().err == (
        "penguin-score: error: --runner PrismRunner: there is no prism program; `go install "
        f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}` or `make prism` makes one\n"
    )
    assert not output.exists()


@pytest.mark.usefixtures("no_program")
def test_the_program_is_the_flags_then_ours_then_the_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path, ours, given = (
        write_program(tmp_path / name, MARK) for name in ("prism", "ours", "given")
    )
    assert runner.find_program(None) == str(on_path)
    monkeypatch.setattr(runner, "BUILT", ours)
    assert runner.find_program(None) == str(ours)
    assert runner.find_program(str(given)) == str(given)


@pytest.mark.usefixtures("no_program")
def test_a_program_that_does_not_start_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = f"#!/bin/sh\necho starting\necho 'panic: no port' >&2\necho more\nexit 2\n# {MARK}"
    broken = write_program(tmp_path / "broken", text)
    output = tmp_path / "out"
    flags = ("--input", samples.OBSERVATIONS, "--no-progress", f"--prism_location={broken}")
    assert run_here(output, *prism.FLAGS, *flags) == 1
    assert capfd.readouterr().err == "penguin-score: error: Prism didn't start: panic: no port\n"
    assert listing(output) == []


# --- deploy/prism/build.py


def test_only_known_source_is_changed() -> None:
    changes = {"a\n": "b\n", "c\n": ""}
    assert build.change("a\nc\nd\n", changes, "x.go") == "b\nd\n"
    for text in ("a\n", "a\nc\na\n"):
        with pytest.raises(build.BuildError, match=r"this Beam has another x\.go than"):
            build.change(text, changes, "x.go")


def test_the_build_the_job_and_the_docs_agree() -> None:
    assert build.PROGRAM == runner.BUILT
    assert build.SOCKET_VARIABLE == runner.SOCKET_VARIABLE
    page = (PROJECT / "docs" / "prism.md").read_text()
    assert f"go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}`" in page


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to build in; programs of `bin` are found beside the system's."""
    folder = tmp_path / ".prism"
    monkeypatch.setattr(build, "PRISM", folder)
    monkeypatch.setattr(build, "PROGRAM", folder / "prism")
    (tmp_path / "bin").mkdir()
    return folder


def test_the_changed_source_is_built_once(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a Go that returns a module of our own, and whose programs are the source."""
    module = tmp_path / "module"
    for name, changes in build.CHANGES.items():
        (module / name).parent.mkdir(parents=True)
        (module / name).write_text("".join(changes))
    for name in ("go.mod", "go.sum"):
        (module / name).touch(0o444)
    calls = tmp_path / "calls"
    fake = f"""#!/bin/sh
echo "$1" >> {calls}
case $1 in
mod) echo '{{"Dir": "{module}"}}' ;;
build) cat {" ".join(build.CHANGES)} > ../prism ;;
esac
"""
    write_program(tmp_path / "bin" / "go", fake)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    build.build()
    build.build()
    assert calls.read_text().split() == ["mod", "build"]
    assert sorted(path.name for path in target.iterdir()) == ["prism", "prism.stamp"]
    built = build.PROGRAM.read_text()
    assert built == "".join(new for changes in build.CHANGES.values() for new in changes.values())
    assert '":%d"' not in built


def test_a_failure_of_go_is_one_line(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(tmp_path / "bin" / "go", """#!/bin/sh
printf '{\\n\\t"Error": "no such module"\\n}\\n'
exit 1
""")  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with pytest.raises(build.BuildError, match='go mod failed: "Error": "no such module"'):
        build.build()


@pytest.mark.usefixtures("target")
def test_no_go_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.BuildError, match="there is no go command; install Go"):
        build.build()
