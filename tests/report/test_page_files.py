"""The page's template and style sheet: packaged, and allowed by the page's policy."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from pipelines.report import page
from pipelines.report.data import Report, gather
from pipelines.runs.manifest import from_json
from tests.support.pages import Page
from tests.support.reports import manifest, publish
from tests.support.running import PROJECT

FILES = {"penguin_model/pages/page.html", "penguin_model/pages/style.css"}


def render() -> str:
    return page.render(Report(manifest=from_json(manifest("r"))))


def test_the_policy_has_the_hash_of_the_style_sheet_in_the_page() -> None:
    # As a browser hashes it: all between the tags, to the byte.
    (style,) = re.findall(r"<style>(.*?)</style>", render(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (
        str(each.attributes["content"])
        for each in Page(render()).all("meta")
        if each.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert f"style-src 'sha256-{digest}'" in policy
    assert style == (PROJECT / "penguin_model/pages/style.css").read_text(encoding="utf-8")


def test_the_style_sheet_knows_every_level_of_the_verdict() -> None:
    style = (PROJECT / "penguin_model/pages/style.css").read_text(encoding="utf-8")
    for level in page._SIGNS:
        assert f"\n.{level} {{" in style


def build(folder: Path, command: str) -> Path:
    """Builds an archive from a copy of the project; its path."""
    source, archives = folder / "source", folder / "archives"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for package in ("penguin_model", "pipelines"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / package, source / package, ignore=ignored)
    subprocess.run(
        [sys.executable, "setup.py", "-q", command, "--dist-dir", str(archives)],
        cwd=source, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    (archive,) = archives.iterdir()
    return archive


def test_a_wheel_writes_a_report(tmp_path: Path) -> None:
    installed, output = tmp_path / "installed", tmp_path / "output"
    with zipfile.ZipFile(build(tmp_path, "bdist_wheel")) as wheel:
        wheel.extractall(installed)
    publish(output, manifest("r"))
    ran = subprocess.run(
        [sys.executable, "-m", "pipelines.report", "--output", str(output)],
        cwd=installed, env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    path = output / "reports/r.html"
    assert ran.stdout == f"{path}\n"
    assert path.read_text(encoding="utf-8") == page.render(gather(str(output)))


def test_what_beam_stages_has_the_files(tmp_path: Path) -> None:
    with tarfile.open(build(tmp_path, "sdist")) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert packed >= FILES
