"""For all tests: no network, an empty home, and the paths of what the project ships."""

import atexit
import importlib.util
import os
import tempfile
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no failure.
hypothesis.settings.register_profile(
    "project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("project")

PROJECT = Path(__file__).parents[1]
OFFLINE = PROJECT / "tests" / "support" / "offline"

# At import, before any test module imports TensorFlow or starts another Python.
_spec = importlib.util.spec_from_file_location("offline", OFFLINE / "sitecustomize.py")
assert _spec is not None
assert _spec.loader is not None
offline = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(offline)

_home = tempfile.TemporaryDirectory(prefix="home-", ignore_cleanup_errors=True)
atexit.register(_home.cleanup)
os.environ |= {
    "HOME": _home.name,
    "PYTHONPATH": os.pathsep.join(filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH")])),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    offline.SWITCH: "1",
}


@pytest.fixture(autouse=True)
def _network_for_registry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("registry"):
        monkeypatch.delenv(offline.SWITCH)


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    return PROJECT


@pytest.fixture(scope="session")
def shipped_model() -> Path:
    return PROJECT / "models" / "penguin-classifier.keras"


@pytest.fixture(scope="session")
def observations() -> Path:
    """The folder of sample files."""
    return PROJECT / "data" / "observations"
