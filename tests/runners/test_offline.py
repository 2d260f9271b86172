"""The tests have no network, neither in this process nor in its children."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REMOTE = ("192.0.2.1", 443)  # an address kept for documentation: nobody is there


def run_python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_connecting_to_a_remote_address_is_refused() -> None:
    with (
        socket.socket() as tcp,
        pytest.raises(RuntimeError, match=r"network cut off: socket.connect '192\.0\.2\.1'"),
    ):
        tcp.connect(REMOTE)


def test_sending_to_a_remote_address_is_refused() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        pytest.raises(RuntimeError, match="network cut off"),
    ):
        udp.sendto(b"", REMOTE)


def test_looking_a_name_up_is_refused() -> None:
    for look_up in (socket.gethostbyname, socket.gethostbyname_ex):
        with pytest.raises(RuntimeError, match=r"network cut off: .* 'example\.org'"):
            look_up("example.org")
    with pytest.raises(RuntimeError, match=r"network cut off: .* 'example\.org'"):
        socket.getaddrinfo("example.org", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_works(host: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection((host, server.getsockname()[1]), timeout=30),
    ):
        pass


def test_unix_sockets_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of such a socket must be short
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("s")
        server.listen()
        client.connect("s")


def test_a_child_process_is_cut_off_too() -> None:
    child = run_python(f"import socket; socket.create_connection({REMOTE}, timeout=30)")
    assert child.returncode == 1
    assert "NetworkCutOffError: the tests run with the network cut off" in child.stderr


def test_loopback_works_in_a_child_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        child = run_python(f"import socket; socket.create_connection({address}, timeout=30)")
    assert (child.returncode, child.stderr) == (0, "")


def test_the_sitecustomize_that_a_child_would_have_loaded_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('mine')")
    child = run_python("", PYTHONPATH=os.pathsep.join([os.environ["PYTHONPATH"], str(tmp_path)]))
    assert child.stdout == "mine\n"


@pytest.mark.registry
def test_the_registry_mark_leaves_the_network_on() -> None:
    socket.getaddrinfo(*REMOTE)  # refused elsewhere, though a numeric address needs no name server


def test_home_is_not_the_users() -> None:
    assert Path.home().name.startswith("home-")
