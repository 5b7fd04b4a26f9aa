"""Image files of the generated world, in many encodings; different pictures have distant hashes.

Not for drawing (flows/demo/world/drawings.py) or choosing URLs (flows/demo/world/plan.py).
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from flows.demo.world.drawings import KINDS, SHARES

NEAR_BITS = 4
APART_BITS = 10
_ATTEMPTS = 200


@dataclass(frozen=True)
class ImageFile:
    """One encoded image.

    Attributes:
        kind: a key of KINDS, e.g. coast.
        recipe: a key of RECIPES, e.g. jpeg_60.
        body: the file's bytes.
        extension: of the file's name, without a dot.
        phash: imagehash's 64-bit pHash of the decoded image.
        pixels: SHA-256 of size and RGB pixels, in hex.
        width_px: width as stored, before EXIF orientation.
        height_px: height as stored, before EXIF orientation.
    """

    kind: str
    recipe: str
    body: bytes
    extension: str
    phash: int
    pixels: str
    width_px: int
    height_px: int


def distance_bits(one: int, other: int) -> int:
    """Return the Hamming distance of two 64-bit hashes, from 0 to 64."""
    return (one ^ other).bit_count()


class Gallery:
    """Draws pictures whose hashes differ by more than APART_BITS; only copies of one picture are closer."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._n_drawn = 0
        self._hashes = np.zeros(0, np.uint64)

    def draw(self, recipes: Sequence[str]) -> list[ImageFile]:
        """Return one new picture, encoded by each recipe; hashes within NEAR_BITS connect all its copies."""
        self._n_drawn += 1
        for attempt in range(_ATTEMPTS):
            rng = np.random.default_rng([self._seed, self._n_drawn, attempt])
            kind = sorted(KINDS)[int(rng.choice(len(KINDS), p=SHARES))]
            # Copied pictures are large, so that a crop of 1 % removes more than a pixel.
            sides = rng.integers(240, 480, 2) if len(recipes) > 1 else rng.choice([64, 96, 128, 200, 256, 320, 420], 2)
            width, height = int(sides[0]), int(np.clip(sides[1], sides[0] // 2, sides[0] * 2))
            if rng.random() < 0.02:
                width, height = 640, 480
            picture = KINDS[kind](rng, width, height).convert("RGB")
            files = [_encode(picture, kind, recipe) for recipe in recipes]
            if self._is_apart(files) and _is_one_cluster(files):
                self._hashes = np.append(self._hashes, np.array([file.phash for file in files], np.uint64))
                return files
        raise RuntimeError(f"no picture in {_ATTEMPTS} attempts has copies {list(recipes)} distant from all others")

    def draw_kind(self, kind: str, recipes: Sequence[str], width: int, height: int) -> list[ImageFile]:
        """Return one new picture of a kind and size in px, encoded by each recipe."""
        self._n_drawn += 1
        for attempt in range(_ATTEMPTS):
            rng = np.random.default_rng([self._seed, self._n_drawn, attempt])
            picture = KINDS[kind](rng, width, height).convert("RGB")
            files = [_encode(picture, kind, recipe) for recipe in recipes]
            if self._is_apart(files):
                self._hashes = np.append(self._hashes, np.array([file.phash for file in files], np.uint64))
                return files
        raise RuntimeError(f"no {kind} of {width} x {height} px in {_ATTEMPTS} attempts is distant from all others")

    def _is_apart(self, files: Sequence[ImageFile]) -> bool:
        # A hash with few bits set does not describe a picture: whether two such pictures are near depends on the rule.
        if any(file.phash.bit_count() < 8 for file in files):
            return False
        distances = [np.bitwise_count(self._hashes ^ np.uint64(file.phash)) for file in files]
        return all((found > APART_BITS).all() for found in distances)


def _is_one_cluster(files: Sequence[ImageFile]) -> bool:
    reached, waiting = {0}, [0]
    while waiting:
        one = files[waiting.pop()]
        near = {n for n, file in enumerate(files) if distance_bits(one.phash, file.phash) <= NEAR_BITS} - reached
        reached |= near
        waiting += sorted(near)
    return len(reached) == len(files)


def _encode(picture: Image.Image, kind: str, recipe: str) -> ImageFile:
    body, extension = RECIPES[recipe](picture)
    with Image.open(io.BytesIO(body)) as image:
        image.load()
        phash = int(str(imagehash.phash(image)), 16)
        rgb = image.convert("RGB")
    digest = hashlib.sha256(f"{rgb.size}".encode() + rgb.tobytes()).hexdigest()
    return ImageFile(kind, recipe, body, extension, phash, digest, rgb.width, rgb.height)


def save(image: Image.Image, image_format: str, **options: object) -> bytes:
    """Return an image encoded in a format."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def jpeg(image: Image.Image, quality: int = 92, **options: object) -> bytes:
    """Return an image encoded as JPEG."""
    return save(image, "JPEG", quality=quality, **options)


def decoded(body: bytes) -> Image.Image:
    """Return a file's image in RGB."""
    with Image.open(io.BytesIO(body)) as image:
        return image.convert("RGB")


def _exif() -> Image.Exif:
    """Return EXIF with orientation 6, a date and a position."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2014:07:21 10:32:05"
    degrees = tuple(IFDRational(n, 1) for n in (12, 30, 15)), tuple(IFDRational(n, 1) for n in (45, 6, 0))
    exif.get_ifd(0x8825).update({1: "S", 2: degrees[0], 3: "W", 4: degrees[1]})
    return exif


def _crop(image: Image.Image) -> Image.Image:
    dx, dy = max(1, image.width // 200), max(1, image.height // 200)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def _half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def _with_alpha(image: Image.Image) -> Image.Image:
    alpha = np.tile(np.linspace(120, 255, image.width, dtype=np.uint8), (image.height, 1))
    return Image.merge("RGBA", (*image.split(), Image.fromarray(alpha)))


def _grey16(image: Image.Image) -> Image.Image:
    # Values up to 255 of 65535, like dark raw data: PIL clips larger 16-bit greys on conversion.
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16))


RECIPES: dict[str, Callable[[Image.Image], tuple[bytes, str]]] = {
    "jpeg": lambda im: (jpeg(im), "jpg"),
    "jpeg_60": lambda im: (jpeg(im, 60), "jpg"),
    "jpeg_comment": lambda im: (jpeg(im, comment=b"copied"), "jpeg"),
    "jpeg_progressive": lambda im: (jpeg(im, progressive=True), "jpg"),
    "jpeg_grey": lambda im: (jpeg(im.convert("L")), "jpg"),
    "jpeg_cmyk": lambda im: (jpeg(im.convert("CMYK")), "jpg"),
    "jpeg_exif": lambda im: (jpeg(im, exif=_exif()), "jpg"),
    "mpo": lambda im: (save(im, "MPO", save_all=True, append_images=[_half(im)], quality=88), "jpg"),
    "jpeg_quarter": lambda im: (jpeg(im.resize((im.width // 4, im.height // 4), Image.Resampling.BOX)), "jpg"),
    "half": lambda im: (jpeg(_half(im), 90), "jpg"),
    "crop": lambda im: (jpeg(_crop(im), 90), "jpg"),
    "png": lambda im: (save(im, "PNG"), "png"),
    "png_of_jpeg": lambda im: (save(decoded(jpeg(im)), "PNG"), "png"),
    "bmp_of_jpeg": lambda im: (save(decoded(jpeg(im)), "BMP"), "bmp"),
    "png_alpha": lambda im: (save(_with_alpha(im), "PNG"), "png"),
    "png_palette": lambda im: (save(im.quantize(64), "PNG"), "png"),
    "png_grey": lambda im: (save(im.convert("L"), "PNG"), "png"),
    "png_grey16": lambda im: (save(_grey16(im), "PNG"), "png"),
    "webp": lambda im: (save(im, "WEBP", quality=85, method=1), "webp"),
    "gif": lambda im: (save(im.quantize(128), "GIF"), "gif"),
    "gif_two_frames": lambda im: (
        save(im.quantize(64), "GIF", save_all=True, append_images=[im.rotate(180).quantize(64)]),
        "gif",
    ),
    "bmp": lambda im: (save(im, "BMP"), "bmp"),
    "tiff": lambda im: (save(im, "TIFF", compression="tiff_lzw"), "tif"),
}
