"""The script that decodes images for stages/screen/decoding.py, in a process with limits; reads images on its input.

Not to be imported by stages, and imports no package of them: its start-up would be paid by every child.
"""

import ctypes
import hashlib
import io
import json
import math
import os
import re
import resource
import signal
import struct
import sys
import types
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import imagehash
import numpy as np
import scipy.fftpack
from PIL import ExifTags, Image, UnidentifiedImageError

if __name__ == "__main__":
    # stages/__init__.py imports every stage: a child takes the package's folder without running it.
    sys.modules["stages"] = types.ModuleType("stages")
    sys.modules["stages"].__path__ = [str(Path(__file__).parents[1])]

from stages.screen.publication import decide_publication

PR_SET_PDEATHSIG = 1  # linux/prctl.h
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # more than 8 bits a sample; PIL clips them on conversion
WORKING_BYTES = 64 << 20  # with less than this beside its libraries a child would refuse ordinary images
STRIP_PIXELS = 1 << 22  # pixels are hashed in strips, so that a large image is not copied as a whole
# Formats whose opening does more than parse a header in Python (Ghostscript, a codec), or that PIL does not know.
FOREIGN = re.compile(
    rb"%!PS|\xc5\xd0\xd3\xc6"  # PostScript
    rb"|\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # OLE: FlashPix, MIC
    rb"|\xd7\xcd\xc6\x9a\0\0|\x01\0\0\0.{36} EMF"  # WMF, EMF
    rb"|....ftyp(?:avi[fs]|hei[cfmsx]|hev[cmsx]|mif1|msf1)"  # AVIF, HEIF
    rb"|\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",  # JPEG XL
    re.DOTALL,
)
NEVER_OPENED = {"EPS", "WMF", "AVIF", "FPX", "MIC", "MPO"}  # MPO has no plugin of its own: JPEG's opens it
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # a detail that differs from run to run would not be reproducible

Facts = dict[str, Any]


def inspect(data: bytes, max_pixels: int, formats: tuple[str, ...]) -> Facts:
    """Return the fields of Decoded, or reason and detail.

    Raises:
        MemoryError: the image does not fit into the memory of the process.
    """
    facts = describe(data, max_pixels, formats)
    if "reason" in facts:
        return facts
    # Here, not where files are written: an image that cannot be published must not win a cluster of duplicates.
    publication = decide_publication(data, facts, lambda other, name: describe(other, max_pixels, (name,)))
    return publication if "reason" in publication else facts | publication


def describe(data: bytes, max_pixels: int, formats: tuple[str, ...]) -> Facts:
    """Return the fields of Decoded that are known by decoding, or reason and detail; as inspect."""
    # PIL raises its own error at twice this number, before some plugins allocate their canvas.
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
    try:
        with Image.open(io.BytesIO(data), formats=_openable(formats)) as image:
            return _describe(image, max_pixels, formats)
    except UnidentifiedImageError:
        return _name_unidentified(data, formats)
    except Image.DecompressionBombError as error:
        return _refuse("too_many_pixels", error)
    except MemoryError:
        raise
    # Style forbids this where a row would vanish; here whatever PIL raises is a property of the bytes, and recorded.
    except Exception as error:
        if "out of memory" in str(error):
            raise MemoryError(str(error)) from error
        is_cut = "truncated" in str(error).lower() or _is_cut_webp(data)
        return _refuse("truncated_image" if is_cut else "corrupt_image", error)


def _openable(formats: tuple[str, ...]) -> list[str]:
    wanted = {"JPEG" if name == "MPO" else name for name in formats}
    return [name for name in Image.ID if name in wanted]


def _refuse(reason: str, error: Exception | str) -> Facts:
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return {"reason": reason, "detail": ADDRESS.sub("", text)}


def _name_unidentified(data: bytes, formats: tuple[str, ...]) -> Facts:
    """Return format_not_allowed where another plugin of PIL takes the header, else not_an_image."""
    if FOREIGN.match(data):
        return _refuse("format_not_allowed", f"starts with {data[:12]!r}")
    for name in sorted(set(Image.OPEN) - NEVER_OPENED - set(_openable(formats))):
        try:
            # Opening parses a header; the pixels of a format that is not allowed are never loaded.
            with Image.open(io.BytesIO(data), formats=[name]) as image:
                return _refuse("format_not_allowed", str(image.format))
        except MemoryError:
            raise
        except Image.DecompressionBombError:
            return _refuse("format_not_allowed", name)
        except Exception:
            continue
    return _refuse("not_an_image", f"starts with {data[:16]!r}")


def _is_cut_webp(data: bytes) -> bool:
    """Tell whether the file is shorter than its RIFF header says; libwebp's own error does not."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) < 8 + int.from_bytes(data[4:8], "little")


def _describe(image: Image.Image, max_pixels: int, formats: tuple[str, ...]) -> Facts:
    if image.format not in formats:
        return _refuse("format_not_allowed", str(image.format))
    if image.width * image.height > max_pixels:
        return _refuse("too_many_pixels", f"{image.width} x {image.height}, more than {max_pixels}")
    stored_mode = image.mode
    image.load()
    facts = {
        "width_px": image.width,
        "height_px": image.height,
        "format": image.format,
        "mode": stored_mode,
        "pixel_sha256": hash_pixels(image),
        **hash_picture(image),
        **_read_exif(image),
    }
    # Last: counting walks through the file and leaves the first frame's pixels behind.
    return {**facts, "n_frames": getattr(image, "n_frames", 1)}


def hash_picture(image: Image.Image) -> Facts:
    """Return the perceptual hash and its detail, both of the 32 x 32 reduction that the hash is made of."""
    small = image.convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    return {"phash": int(str(imagehash.phash(small)), 16), "phash_detail": measure_detail(small)}


def measure_detail(small: Image.Image) -> float:
    """Return the 17th smallest distance of the hash's 64 coefficients from their median, in grey levels.

    A bit of the hash says on which side of the median a coefficient is: where a quarter of them are as good as equal to
    it, as in plain bands and gradients, their bits are noise or all alike, and unlike pictures have near hashes.
    """
    values = np.asarray(small, np.float64)
    low = scipy.fftpack.dct(scipy.fftpack.dct(values, axis=0), axis=1)[:8, :8]  # as imagehash.phash
    margins = np.sort(np.abs(low - np.median(low)), axis=None)
    return float(margins[16]) / small.width / small.height


def hash_pixels(image: Image.Image) -> str:
    """Return the digest that Decoded.pixel_sha256 defines."""
    width, height = image.size
    mode = "RGB"
    if image.mode in DEEP_MODES:
        mode = image.mode
    elif image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        mode = "RGB" if image.getchannel("A").getextrema() == (255, 255) else "RGBA"
    digest = hashlib.sha256(f"{width}x{height}:".encode() + (f"{mode}:".encode() if mode in DEEP_MODES else b""))
    n_rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, n_rows):
        is_whole = n_rows >= height
        strip = image if is_whole else image.crop((0, top, width, min(top + n_rows, height)))
        digest.update((strip if strip.mode == mode else strip.convert(mode)).tobytes())
    return digest.hexdigest()


def _read_exif(image: Image.Image) -> Facts:
    """Return what EXIF says; nothing where it is broken, for the pixels do not depend on it."""
    # PIL would take an orientation from XMP, which no viewer obeys and which publishing drops.
    for key in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(key, None)
    # Each part by itself: a broken position must not cost the date.
    taken = _or_none(lambda: _read_datetime(image.getexif()))
    position = _or_none(lambda: _read_position(image.getexif().get_ifd(ExifTags.IFD.GPSInfo)))
    orientation = _or_none(lambda: image.getexif().get(ExifTags.Base.Orientation))
    latitude_deg, longitude_deg = position or (None, None)
    return {
        "exif_datetime": taken,
        "exif_latitude_deg": latitude_deg,
        "exif_longitude_deg": longitude_deg,
        "exif_orientation": orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else None,
    }


def _or_none(read: Any) -> Any:
    try:
        return read()
    except MemoryError:
        raise
    except Exception:  # whatever a broken EXIF block makes PIL raise means that it says nothing
        return None


def _read_datetime(exif: Image.Exif) -> str | None:
    details = _or_none(lambda: exif.get_ifd(ExifTags.IFD.Exif)) or {}
    for text in (details.get(ExifTags.Base.DateTimeOriginal), exif.get(ExifTags.Base.DateTime)):
        taken = _or_none(lambda text=text: datetime.strptime(str(text).strip(" \0")[:19], "%Y:%m:%d %H:%M:%S"))
        if taken is not None:
            return str(taken.isoformat())
    return None


def _read_position(gps: Any) -> tuple[float, float] | None:
    latitude_deg = _read_angle(gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLatitudeRef), "NS")
    longitude_deg = _read_angle(gps.get(ExifTags.GPS.GPSLongitude), gps.get(ExifTags.GPS.GPSLongitudeRef), "EW")
    if latitude_deg is None or longitude_deg is None or abs(latitude_deg) > 90 or abs(longitude_deg) > 180:
        return None
    return latitude_deg, longitude_deg


def _read_angle(parts: Any, reference: Any, hemispheres: str) -> float | None:
    """Return degrees from (degrees, minutes, seconds); None without a hemisphere, for the sign is then unknown."""
    name = (reference.decode("latin-1") if isinstance(reference, bytes) else str(reference)).strip(" \0").upper()
    numbers = [float(part) for part in parts]
    is_sexagesimal = len(numbers) == 3 and all(math.isfinite(number) and number >= 0 for number in numbers)
    if len(name) != 1 or name not in hemispheres or not is_sexagesimal or max(numbers[1:]) > 60:
        return None
    angle_deg = numbers[0] + numbers[1] / 60 + numbers[2] / 3600
    return angle_deg if name == hemispheres[0] else -angle_deg


def _send(output: BinaryIO, answer: Facts) -> None:
    text = json.dumps(answer).encode()
    output.write(struct.pack("<I", len(text)) + text)
    output.flush()


def _prepare(memory_bytes: int, parent: int) -> None:
    """Take the limits on and pay for the imports before the first image comes."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before it could be watched
        sys.exit("the parent is gone")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    Image.init()
    imagehash.phash(Image.new("L", (32, 32)))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def main(limits: Facts, parent: int) -> None:
    """Answer one image after another until the input ends."""
    images, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # a library that prints must not speak into the answers
        os.dup2(null, standard)
    _prepare(limits["memory_bytes"], parent)
    try:
        bytearray(WORKING_BYTES)
    except MemoryError:
        _send(output, {"problem": f"not even {WORKING_BYTES} bytes are left for an image"})
        return
    _send(output, {"problem": ""})
    while header := images.read(8):
        data = images.read(struct.unpack("<Q", header)[0])
        # CPU time, counted from here: RLIMIT_CPU knows whole seconds of the whole process only.
        signal.setitimer(signal.ITIMER_PROF, limits["cpu_s"])
        try:
            answer = inspect(data, limits["max_pixels"], tuple(limits["formats"]))
        except MemoryError:
            answer = {"reason": "decoder_died", "detail": f"more than {limits['memory_bytes']} bytes of memory"}
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(output, answer)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]))
