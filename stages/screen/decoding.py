"""Decode an image once, in a guarded child process: return facts on its pixels and EXIF, or a reason to refuse it.

Stages decide whether a decoded image is kept. Imports no image library: the script decoding_child.py decodes, in its
own process.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from schemas.reasons import DETAIL_MAX_CHARACTERS
from stages.identity import package_version
from stages.screen.messages import read_answer, send_images
from stages.screen.silence import DecoderUnavailable, SilenceWatch, check_silence

CHILD_SCRIPT = Path(__file__).with_name("decoding_child.py")
PIPE_BYTES = 1 << 20  # most web images fit in one write; a pipe's default of 64 KiB needs several wake-ups

CHILD_ENVIRONMENT = {
    # Threads of a linear algebra library would use address space and are not needed here.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Otherwise glibc returns the pixels' pages after each image and faults them in again: a quarter of the time.
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
}


@dataclass(frozen=True)
class DecodeLimits:
    """The limits for one image.

    Attributes:
        max_pixels: width times height by the header; 64 million is 8000 x 8000, twice the largest web images.
        cpu_s: processor seconds for one image; 64 million pixels of any allowed format take under 10 here.
        memory_bytes: address space of the child (RLIMIT_AS); 64 million pixels of any allowed format fit.
        formats: PIL's names of the formats that may be decoded.
        silence_s: wall time in which an awaited child must use some CPU time; ten times cpu_s, since a loaded machine
            or one that swaps may keep a sound child waiting.
    """

    max_pixels: int = 64_000_000
    cpu_s: float = 20.0
    memory_bytes: int = 2_000_000_000
    formats: tuple[str, ...] = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF")
    silence_s: float = 200.0


@dataclass(frozen=True)
class Decoded:
    """The facts on one image; on its first frame if it has several.

    Attributes:
        width_px: of the picture as shown.
        height_px: as width_px.
        format: PIL's name of the format.
        mode: PIL's mode as stored in the file: RGB, L, P, CMYK, I;16 ...
        n_frames: 1 for a still image; counting stops at a broken frame, and at 10,000.
        pixel_sha256: sha256, in hex, of "WxH:" and the RGB bytes, row by row, of the picture as shown (shown.py).
        phash: uint64, equal to imagehash.phash of the picture as shown; the first bit of the 8 x 8 is the most
            significant. It is unreliable if phash_detail is small.
        phash_orientations: eight uint64, the phash of the picture shown by each EXIF orientation; the first is phash.
        phash_detail: grey levels, 0 for a flat image; see perceptual_hash.measure_detail.
        exif_datetime: DateTimeOriginal, else DateTime, as YYYY-MM-DDTHH:MM:SS; no zone is known.
        exif_latitude_deg: in [-90, 90]; None if position or hemisphere is missing or out of range.
        exif_longitude_deg: in [-180, 180]; None as for the latitude.
        exif_orientation: 1 to 8; None if missing or invalid, and for a TIFF.
        published_sha256: of the published file, without its metadata; it decodes to pixel_sha256, except for a TIFF,
            which is published as JPEG.
        published_n_bytes: of that file.
        published_format: its file name extension.
    """

    width_px: int
    height_px: int
    format: str
    mode: str
    n_frames: int
    pixel_sha256: str
    phash: int
    phash_orientations: list[int]
    phash_detail: float
    exif_datetime: str | None
    exif_latitude_deg: float | None
    exif_longitude_deg: float | None
    exif_orientation: int | None
    published_sha256: str
    published_n_bytes: int
    published_format: str


@dataclass(frozen=True)
class Refused:
    """Why an image was not decoded: a code of schemas/reasons.py (screen) and at most 200 printable characters."""

    reason: str
    detail: str


class Decoder:
    """A child process that decodes one image at a time; started for the first image, replaced when it dies.

    The child dies with the thread that started it (PR_SET_PDEATHSIG): use a Decoder in the thread that made it.
    """

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        self.limits = limits or DecodeLimits()
        self._child: subprocess.Popen[bytes] | None = None
        self._watch: SilenceWatch | None = None

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process, if there is one."""
        if self._child is not None:
            self._child.kill()
            self._reap(self._child)

    def decode(self, data: bytes) -> Decoded | Refused:
        """Return the facts of the image in these bytes, or why it is refused; never raises because of the bytes.

        Raises:
            DecoderUnavailable: the child process cannot be started, or was silent for too long.
        """
        if not data:
            return Refused("empty_file", "0 bytes")
        answers = self._ask([data])
        if isinstance(answers, int) and answers != -signal.SIGPROF:
            # The kernel or an operator may have killed the child: only a second death is blamed on the image.
            answers = self._ask([data])
        return self._blame(answers) if isinstance(answers, int) else _read_facts(answers[0])

    def decode_all(self, bodies: Sequence[bytes]) -> list[Decoded | Refused]:
        """Return the result of `decode` for each image; together, small ones take a quarter less time.

        Raises:
            DecoderUnavailable: the child process cannot be started, or was silent for too long.
        """
        answers = self._ask(bodies) if all(bodies) and len(bodies) > 1 else None
        if isinstance(answers, list):
            return list(map(_read_facts, answers))
        return [self.decode(data) for data in bodies]  # if the child died, one by one it is found for which image

    def _ask(self, bodies: Sequence[bytes]) -> list[dict[str, Any]] | int:
        """Return the child's answers, or its exit code if it died."""
        if self._child is not None and self._child.poll() is not None:
            self._reap(self._child)
        child = self._child or self._start()
        try:
            assert child.stdin is not None and child.stdout is not None and self._watch is not None
            with self._watch.awaiting():
                send_images(child.stdin.fileno(), bodies)
                answers: list[dict[str, Any]] = read_answer(child.stdout)
            return answers
        except (BrokenPipeError, EOFError):
            exit_code = self._reap(child)
            check_silence(self._watch)
            return exit_code
        except BaseException:
            # Interrupted half-way: the next image must not get this one's answer.
            self.close()
            raise

    def _blame(self, exit_code: int) -> Refused:
        if exit_code == -signal.SIGPROF:
            return Refused("decode_timeout", f"more than {self.limits.cpu_s:g} s of CPU time")
        ending = signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
        return Refused("decoder_died", f"the decoding process ended twice, the second time by {ending}")

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", str(CHILD_SCRIPT), json.dumps(asdict(self.limits)), str(os.getpid())]
        environment = {**os.environ, **CHILD_ENVIRONMENT}
        pipe = subprocess.PIPE
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        self._child, self._watch = child, SilenceWatch(child, self.limits.silence_s)
        with self._watch.awaiting():
            problem = self._await_start(child)
        if problem:
            self.close()
            raise DecoderUnavailable(
                f"expected {CHILD_SCRIPT} to start within {self.limits.memory_bytes} bytes: {problem}; "
                f"raise memory_bytes or repair the installation"
            )
        for stream in (child.stdin, child.stdout):
            # An unprivileged user may have used up the pipe quota: smaller pipes are only slower.
            with contextlib.suppress(OSError):
                fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, PIPE_BYTES)  # type: ignore[arg-type]
        return child

    def _await_start(self, child: subprocess.Popen[bytes]) -> str:
        """Return why the child does not start, "" if it does."""
        assert child.stdout is not None and child.stderr is not None
        with child.stderr:  # the child closes its end before the first image: output of libraries is discarded
            last_words = child.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
        try:
            return str(read_answer(child.stdout)["problem"])
        except EOFError:
            exit_code = self._reap(child)
            check_silence(self._watch)
            return f"it ended with {exit_code}: {''.join(last_words)}"

    def _reap(self, child: subprocess.Popen[bytes]) -> int:
        for stream in (child.stdin, child.stdout):
            # Closing flushes bytes that a dead child will not read.
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        self._child = None
        exit_code = child.wait()
        if self._watch is not None:
            self._watch.end()
        return exit_code


def _read_facts(answer: Mapping[str, Any]) -> Decoded | Refused:
    if "reason" in answer:
        return Refused(answer["reason"], printable(answer["detail"]))
    return Decoded(**answer)


def printable(text: str) -> str:
    """Return the text with unprintable characters as "?", cut to the length of a detail."""
    return "".join(c if c.isprintable() else "?" for c in text)[:DETAIL_MAX_CHARACTERS]


def decoder_identity() -> Mapping[str, str]:
    """Return the versions that affect decoded pixels: libraries and the codecs PIL was built with."""
    from PIL import features

    identity = {name: package_version(name) for name in ("pillow", "imagehash", "numpy", "scipy")}
    for codec in ("libjpeg_turbo", "zlib", "zlib_ng", "webp", "libtiff", "littlecms2"):
        identity[codec] = str(features.version(codec) or "absent")
    return identity
