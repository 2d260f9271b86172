"""Requests to a Flink cluster's own REST API."""

from __future__ import annotations

import json
import logging
import os
import ssl
import time
import urllib.request
from typing import Any

# In Flink's folder of settings (flink_keys.py).
KEY = "client.pem"

_ANSWER_SECONDS = 10
# A cluster ends the tasks of a cancelled job within seconds.
_CANCEL_SECONDS = 30
_ENDED = frozenset({"FINISHED", "CANCELED", "FAILED"})


def count_slots(master: str) -> int | None:
    """Counts a cluster's slots; None if it doesn't say.

    Args:
      master: host and port of its REST API.
    """
    try:
        return int(ask(master, "/overview")["slots-total"])
    except (OSError, ValueError, KeyError):
        return None


def cancel(master: str, job_name: str) -> None:
    """Cancels the running jobs of a name, and waits for them to end.

    Args:
      master: host and port of the cluster's REST API.
      job_name: as Flink's page shows it.
    """
    deadline = time.monotonic() + _CANCEL_SECONDS
    asked: set[str] = set()
    try:
        while running := _running(master, job_name):
            for job in running - asked:
                ask(master, f"/jobs/{job}?mode=cancel", method="PATCH")
            asked |= running
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
    except (OSError, ValueError, KeyError) as error:
        logging.getLogger(__name__).warning("cannot cancel %s: %s", job_name, error)


def _running(master: str, job_name: str) -> set[str]:
    jobs = ask(master, "/jobs/overview")["jobs"]
    return {job["jid"] for job in jobs if job["name"] == job_name and job["state"] not in _ENDED}


def ask(master: str, path: str, method: str = "GET", conf: str | None = None) -> Any:
    """Sends a request to a cluster's REST API.

    Args:
      master: host and port.
      path: as in Flink's documentation, from the first slash on.
      method: the HTTP method.
      conf: Flink's folder of settings, None for that of `FLINK_CONF_DIR`; if it has the cluster's
        key, the connection is encrypted, and each side proves that it has the key.

    Raises:
      OSError: the API can't be reached.
    """
    conf = os.environ.get("FLINK_CONF_DIR", "") if conf is None else conf
    key, scheme, context = os.path.join(conf, KEY), "http", None
    if conf and os.path.isfile(key):
        scheme, context = "https", ssl.create_default_context(cafile=key)
        context.load_cert_chain(key)
    address = master if master.startswith("https://") else master.removeprefix("http://")
    if "://" not in address:
        address = f"{scheme}://{address}"
    request = urllib.request.Request(address + path, method=method)
    with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS, context=context) as answer:
        return json.loads(answer.read() or b"{}")
