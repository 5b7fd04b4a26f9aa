"""Write tars in the form of RS5M's release, and damaged ones, for tests. Not for a build's own tars."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

Members = Mapping[str, bytes]  # content by ending


def picture(shade: int) -> bytes:
    """Return a small JPEG."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade % 256, 90, 40)).save(out, "JPEG")
    return out.getvalue()


def sample(name: str, caption: bytes | str = "an aerial view", image: bytes | None = None) -> dict[str, bytes]:
    """Return the members of a sample."""
    text = caption if isinstance(caption, bytes) else caption.encode()
    return {"caption": text, "img_content": picture(len(name)) if image is None else image, "img_name": name.encode()}


def write_release(path: Path, samples: Sequence[tuple[str, Members]], kind: int = tarfile.PAX_FORMAT) -> Path:
    """Write a tar of keys and members, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=kind) as tar:
        for key, members in samples:
            for ending, body in members.items():
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
    return path
