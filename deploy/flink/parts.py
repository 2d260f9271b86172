"""Downloads the pinned parts of a Flink cluster into `.flink/`: Flink itself and Beam's job server.

Flink comes from its two Python packages (one has the scripts, the other the jars). The job server
comes jar by jar from the Maven repository that Beam uses. Each file is checked against a pinned
checksum; then the servers in one of the jars are moved to Unix sockets (`sockets.py`).
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.flink import sockets

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PARTS = PROJECT / ".flink"
FLINK_VERSION = "1.19"
FLINK_HOME = PARTS / "flink"
JOB_SERVER_JAR = PARTS / "job-server" / "flink-job-server.jar"
JARS_LOCK = HERE / "jars.lock"

_FLINK_LOCK = HERE / "flink.lock"
_SOCKETS = HERE / "sockets.py"
_SERVERS_JAR = "beam-sdks-java-core-*.jar"
_MAIN_CLASS = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_DOWNLOADS_AT_ONCE = 8
_DOWNLOAD_SECONDS = 120
# Folders of the two packages, and their names in a Flink distribution.
_FOLDERS = {"pyflink/bin": "bin", "deps/bin": "bin", "deps/lib": "lib", "pyflink/conf": "conf"}


class PartsError(Exception):
    """A part is missing or isn't what it should be; the message is one line."""


def fetch_job_server() -> Path:
    """Makes the job server, unless it exists and was made from the same pins; returns its jar.

    Raises:
      PartsError: Java is missing, or a download failed or doesn't match its checksum.
    """
    need("java", "Java 17, for instance Debian's openjdk-17-jre-headless")
    _once(JOB_SERVER_JAR.parent, [JARS_LOCK, _SOCKETS], _fetch_job_server)
    return JOB_SERVER_JAR


def fetch() -> None:
    """Makes the job server and Flink, unless they exist.

    Raises:
      PartsError: As for the job server.
    """
    fetch_job_server()
    _once(FLINK_HOME, [JARS_LOCK, _SOCKETS, _FLINK_LOCK], _fetch_flink)


def need(command: str, what: str) -> str:
    """Finds a command.

    Raises:
      PartsError: The command is missing.
    """
    found = shutil.which(command)
    if found is None:
        raise PartsError(f"there is no {command} command; install {what}")
    return found


def _once(target: Path, pins: list[Path], make: Callable[[Path], None]) -> None:
    """Makes a part in a temporary folder and moves it into place, then writes its stamp."""
    stamp = PARTS / f"{target.name}.stamp"
    wanted = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()
    if target.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    work = PARTS / "unfinished"
    for old in (work, target):
        if old.is_dir():
            shutil.rmtree(old)
    made = work / target.name
    made.mkdir(parents=True)
    print(f"Fetching {os.path.relpath(target)} ...", flush=True)
    make(made)
    made.replace(target)
    shutil.rmtree(work)
    stamp.write_text(wanted)


def _fetch_job_server(made: Path) -> None:
    lib = made / "lib"
    lib.mkdir()
    jars = dict(line.split() for line in JARS_LOCK.read_text().splitlines())
    with concurrent.futures.ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        names = list(pool.map(_fetch_jar, jars, jars.values(), [lib] * len(jars)))
    attributes = []
    if sys.platform.startswith("linux"):
        (jar,) = lib.glob(_SERVERS_JAR)
        sockets.use_unix_sockets(jar)
        attributes.append(sockets.ATTRIBUTE)
    manifest = [
        "Manifest-Version: 1.0",
        f"Main-Class: {_MAIN_CLASS}",
        *attributes,
        # The format allows 72 bytes a line; continuation lines start with a space.
        *textwrap.wrap(
            f"Class-Path: {' '.join(f'lib/{name}' for name in names)}", 71,
            subsequent_indent=" ", break_on_hyphens=False, drop_whitespace=False,
        ),
    ]  # fmt: skip
    with zipfile.ZipFile(made / JOB_SERVER_JAR.name, "w") as launcher:
        launcher.writestr("META-INF/MANIFEST.MF", "\n".join(manifest) + "\n")


def _fetch_jar(coordinates: str, sha256: str, folder: Path) -> str:
    # Beam knows the repository's address. Importing it takes seconds, so only do it to download.
    from apache_beam.utils.subprocess_server import JavaJarServer

    group, artifact, version = coordinates.split(":")
    url = JavaJarServer.path_to_maven_jar(artifact, group, version)
    try:
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_SECONDS) as answer:
            content: bytes = answer.read()
    except (OSError, urllib.error.URLError) as error:
        raise PartsError(f"cannot fetch {coordinates}: {error}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PartsError(f"{coordinates} is not the jar that {JARS_LOCK.name} lists")
    name = f"{artifact}-{version}.jar"
    (folder / name).write_bytes(content)
    return name


def _fetch_flink(made: Path) -> None:
    downloads, unpacked = made.parent / "downloads", made.parent / "unpacked"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--require-hashes"]
    command += ["--dest", str(downloads), "--requirement", str(_FLINK_LOCK)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        lines = [line for line in ran.stderr.splitlines() if "ERROR" in line]
        raise PartsError(f"pip could not fetch Flink: {lines[0] if lines else ran.returncode}")
    # Python has filters since 3.11.4. The archive's hash has been checked in any case.
    safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    for archive in sorted(downloads.iterdir()):
        if archive.suffix == ".whl":
            zipfile.ZipFile(archive).extractall(unpacked)
            continue
        with tarfile.open(archive) as packed:
            packed.extractall(made.parent, **safely)
            top = packed.getnames()[0].split("/")[0]
        shutil.copytree(made.parent / top, unpacked, dirs_exist_ok=True)
    for source, name in _FOLDERS.items():
        shutil.copytree(unpacked / source, made / name, dirs_exist_ok=True)
    for script in (made / "bin").glob("*.sh"):
        script.chmod(0o755)
    # Flink keeps workers from one stage to the next only if Beam's classes are in its own lib/, not
    # in a job's.
    for jar in (JOB_SERVER_JAR.parent / "lib").iterdir():
        if not jar.name.startswith(("flink-", "slf4j-")):
            shutil.copy(jar, made / "lib")


if __name__ == "__main__":
    try:
        fetch()
    except PartsError as error:
        sys.exit(f"parts: error: {error}")
