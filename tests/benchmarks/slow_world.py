"""A generated world whose web server answers late, for benchmarks of whole builds.

Not for faults: the world has its own.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path


def make_slow_world(folder: Path, n_rows: int, delay_s: float) -> None:
    """Make a world whose server answers after a delay, drawn by seed and path with mean delay_s."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["make", str(folder), "--rows", str(n_rows), "--port", str(port)]
    subprocess.run([sys.executable, "-m", "flows.demo.world", *words], check=True, stdout=subprocess.DEVNULL)
    about = json.loads((folder / "world.json").read_text())
    (folder / "world.json").write_text(json.dumps({**about, "delay_s": delay_s}))
