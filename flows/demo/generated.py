"""The generated world of the `demo` profile: made once per build, served on loopback during a download pass."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from stages.contract import InputError

ROOT = Path(__file__).parents[2]
_PORT = 18431
_ROWS = 3000
_PORT_WAIT_S = 20.0  # a killed run's server must see that its input is closed, which takes seconds on busy cores


@dataclass
class GeneratedWorld:
    """A SOURCES folder made by flows/demo/world, and the web server of its URLs.

    Attributes:
        folder: the world's folder; `make` creates it.
    """

    folder: Path
    _server: subprocess.Popen[str] | None = field(default=None)

    @property
    def sources(self) -> Path:
        """The SOURCES folder."""
        return self.folder / "sources"

    @property
    def is_made(self) -> bool:
        """Whether the world has been written."""
        return (self.folder / "world.json").exists()

    def make(self) -> None:
        """Generate the world unless it exists; an interrupted call leaves no partial world."""
        if self.is_made:
            return
        draft = self.folder.with_name(f"{self.folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        command = [sys.executable, "-m", "flows.demo.world", "make", str(draft.resolve())]
        subprocess.run(
            [*command, "--rows", str(_ROWS), "--port", str(_free_port())],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        shutil.rmtree(self.folder, ignore_errors=True)
        draft.rename(self.folder)

    def serve(self, number: int) -> None:
        """Start the web server with the answers of one download pass.

        Args:
            number: download pass, from 0.

        Raises:
            InputError: the world's port is taken.
        """
        end = time.monotonic() + _PORT_WAIT_S
        while not self._start(number):
            if time.monotonic() > end:
                port = json.loads((self.folder / "world.json").read_text())["port"]
                raise InputError(
                    f"the generated world cannot be served: is port {port} taken? Stop what uses it,"
                    f" or remove {self.folder.parent} and build again on another port"
                )

    def _start(self, number: int) -> bool:
        self.stop()
        command = [
            sys.executable,
            "-m",
            "flows.demo.world",
            "serve",
            str(self.folder.resolve()),
            "--pass",
            str(number),
        ]
        self._server = subprocess.Popen(
            [*command, "--until-eof"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C must not stop it while fetches are running
        )  # fmt: skip
        assert self._server.stdout is not None
        return self._server.stdout.readline().startswith("serving")

    def stop(self) -> None:
        """Stop the server if it runs; it also stops when this process dies."""
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            try:
                self._server.wait(3)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None


def _free_port() -> int:
    for wanted in (_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InputError("no free port on loopback for the generated world")
