"""Writes `jars.lock` from `pom.xml`: each jar of the job server with its checksum.

Run `python -m deploy.flink.lock`. It needs Maven, which nothing else in the project does.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

from deploy.flink import parts

_LINE = re.compile(r"\s+([\w.-]+:[\w.-]+):jar:([\w.-]+):(?:compile|runtime)")


def main() -> None:
    """Resolves the dependencies, downloads the jars and writes the lock file."""
    maven = parts.need("mvn", "Maven 3.8 or later")
    with tempfile.TemporaryDirectory() as folder:
        command = [maven, "--quiet", "--batch-mode", "-f", str(parts.HERE / "pom.xml")]
        goals = ["dependency:copy-dependencies", "dependency:list"]
        subprocess.run([*command, f"-Dparts={folder}", *goals], check=True)
        found = _LINE.findall(Path(folder, "list.txt").read_text())
        lines = []
        for name, version in sorted(found):
            jar = Path(folder, "lib", f"{name.split(':')[1]}-{version}.jar")
            lines.append(f"{name}:{version} {hashlib.sha256(jar.read_bytes()).hexdigest()}\n")
    parts.JARS_LOCK.write_text("".join(lines))


if __name__ == "__main__":
    main()
