"""Find the format of a file by its first bytes, and say why a file cannot be read.

Exactly one format is tried per file: otherwise a file that two formats accept could be checked as one and shown as the
other.
"""

import io
import re
import struct
import zlib
from typing import Any

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from stages.images.frames import count_pages
from stages.images.mending import FRAMES, mend, walk_markers
from stages.images.tiff_tags import has_cut_tag

SIGNATURES = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "GIF": re.compile(rb"GIF8[79]a"),
    # Texts may begin with these two letters too: reserved bytes must be 0, or the header must have a known length.
    "BMP": re.compile(rb"BM.{4}(?:\0{4}|.{8}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3})", re.DOTALL),
    "WEBP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "TIFF": re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+|II\0\*|MM\*\0"),
}  # no two match the same bytes
# Formats that PIL does not know, or opens with more than a header parser in Python (Ghostscript, a codec).
FOREIGN = re.compile(
    rb"%!PS|\xc5\xd0\xd3\xc6"  # PostScript
    rb"|\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # OLE: FlashPix, MIC
    rb"|\xd7\xcd\xc6\x9a\0\0|\x01\0\0\0.{36} EMF"  # WMF, EMF
    # AVIF, HEIF and CR3, by the main brand or one of the others
    rb"|....ftyp(?:.{4}){0,15}?(?:avi[fos]|avc[is]|hei[cfmsx]|hev[cmsx]|mif[12]|miaf|MA1[AB]|msf1|vvi[cs]|j2k[is]|crx )"
    rb"|\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n|II\xbc"  # JPEG XL, JPEG XR
    rb"|NITF0|NSIF0|FLIF|BPG\xfb|AT&TFORM"  # the last is DjVu
    rb"|#\?(?:RADIANCE|RGBE)|v/1\x01"  # Radiance HDR, OpenEXR
    rb"|P7\n|\x8aMNG\r\n|\x8bJNG\r\n",  # the first is PAM
    re.DOTALL,
)
# Behind an XML declaration.
SVG = re.compile(
    rb"(?:\xef\xbb\xbf)?(?>(?:<!--.*?-->|<[?!][^>]*>|[\s\]>])*)<(?:\w+:)?svg[\s/>]", re.DOTALL | re.IGNORECASE
)
GZIP, GZIP_BITS = b"\x1f\x8b\x08", 31
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
HEAD_BYTES = 1 << 13  # a text of a hostile length would be searched for each of its signs
NEVER_OPENED = {"EPS", "WMF", "AVIF", "FPX", "MIC", "MPO"}  # MPO has no plugin of its own: JPEG's opens it
SAMPLE_TYPES = {1: "uint", 2: "int", 3: "float", 4: "untyped", 5: "complex int", 6: "complex float"}
UNREAD = re.compile(r"unsupported(?! BMP palette)|cannot handle", re.IGNORECASE)  # PIL, of a header
BIG_TIFF = b"+"
BIG_ENDIAN_BIG_TIFF = b"MM\0+"
UNREAD_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}  # of JPEG: lossless or hierarchical
CUT = re.compile(r"truncated|not enough image data", re.IGNORECASE)  # PIL, of pixels; the second of a packed BMP
CUT_SHORT = (struct.error, IndexError, EOFError)  # raised by plugins if the file ends within a header

Refusal = tuple[str, str]  # reason and detail


def find_format(data: bytes) -> str | None:
    """Return PIL's name of a file's format, JPEG for MPO too; None if it is not one of the formats we read."""
    return next((name for name, signature in SIGNATURES.items() if signature.match(data)), None)


def plugin_of(image_format: str) -> str:
    """Return the PIL plugin that opens a format."""
    return "JPEG" if image_format == "MPO" else image_format


def name_foreign(data: bytes) -> Refusal:
    """Return format_not_allowed if another plugin of PIL accepts the header, else not_an_image."""
    if FOREIGN.match(data, 0, HEAD_BYTES) or SVG.match(_decode_text(data)):
        return "format_not_allowed", f"starts with {data[:12]!r}"
    for name in sorted(set(Image.OPEN) - NEVER_OPENED - set(SIGNATURES)):
        try:
            # Opening parses only a header; pixels of formats that are not allowed are never loaded.
            with Image.open(io.BytesIO(data), formats=[name]) as image:
                return "format_not_allowed", str(image.format)
        except MemoryError:
            raise
        except Image.DecompressionBombError:
            return "format_not_allowed", name
        except Exception:
            continue
    return "not_an_image", f"starts with {data[:16]!r}"


def _decode_text(data: bytes) -> bytes:
    """Return the beginning of a file, inflated if it is a gzip and in UTF-8 if it is in UTF-16 with a mark."""
    head = data[:HEAD_BYTES]
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(GZIP_BITS).decompress(head, HEAD_BYTES)
        except zlib.error:
            return b""
    return head.decode("utf-16", "ignore").encode() if head.startswith(UTF16_MARKS) else head


def explain(data: bytes, image_format: str, error: Exception) -> Refusal:
    """Return why a file of a known format cannot be read: unsupported variant, truncated, or corrupt."""
    if variant := _name_variant(data, image_format):
        return "unsupported_variant", f"{image_format}: {variant}"
    if isinstance(error, UnidentifiedImageError):
        error = _find_cause(data, image_format)
    text = f"{type(error).__name__}: {error}"
    tags = _read_tags(data) if image_format == "TIFF" else {}
    if CUT.search(text) or isinstance(error, CUT_SHORT) or _ends_early(data, image_format, tags):
        return "truncated_image", text
    # PIL looks up a TIFF's colours and samples in tables: missing ones raise SyntaxError or KeyError.
    is_unread = bool(tags) and isinstance(error, SyntaxError | KeyError | NotImplementedError)
    if is_unread or (image_format != "TIFF" and UNREAD.search(text)):
        variant = str(error) if isinstance(error, NotImplementedError) else ""
        return "unsupported_variant", f"{image_format}: {variant or _describe_samples(tags) or error}"
    return "corrupt_image", text


def _name_variant(data: bytes, image_format: str) -> str:
    """Return the name of a variant for which libraries report other faults; empty for others."""
    if data.startswith(BIG_ENDIAN_BIG_TIFF):
        return "big-endian BigTIFF"
    markers = walk_markers(data) if image_format == "JPEG" else iter(())
    code, body = next(((code, body) for code, _, body in markers if code in FRAMES), (0, b""))
    if code in UNREAD_FRAMES:
        return f"frame of type SOF{code & 15}, lossless or hierarchical"
    return "height behind the first scan (DNL)" if len(body) >= 5 and body[1:3] == bytes(2) else ""


def _find_cause(data: bytes, image_format: str) -> Exception:
    """Return the plugin's own error, which PIL replaces with a sentence without a reason."""
    try:
        Image.OPEN[plugin_of(image_format)][0](io.BytesIO(mend(data, image_format)), "")
    except MemoryError:
        raise
    except Exception as error:
        return error
    return UnidentifiedImageError(f"PIL does not accept it as {image_format}")


def _read_tags(data: bytes) -> dict[int, Any]:
    """Return the tags of a TIFF's first page; empty if they cannot be read or have no size and no pixels."""
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:16] if BIG_TIFF in data[2:4] else data[:8])
        stream = io.BytesIO(data)
        stream.seek(tags.next)
        tags.load(stream)
        found = dict(tags)
    except MemoryError:
        raise
    except Exception:  # whatever PIL raises on a broken directory
        return {}
    has_pixels = TiffImagePlugin.STRIPOFFSETS in found or TiffImagePlugin.TILEOFFSETS in found
    sizes = (found.get(TiffImagePlugin.IMAGEWIDTH), found.get(TiffImagePlugin.IMAGELENGTH))
    return found if has_pixels and all(isinstance(size, int) and size > 0 for size in sizes) else {}


def _describe_samples(tags: dict[int, Any]) -> str:
    if not tags:
        return ""
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    kinds = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
    n_bands = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, len(bits))
    types = ", ".join(dict.fromkeys(f"{SAMPLE_TYPES.get(kind, 'unknown ')}{n}" for n in bits for kind in kinds))
    words = f"{n_bands} {'band' if n_bands == 1 else 'bands'} of {types}"
    colours = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0)
    return f"{words}, photometric {colours}, compression {tags.get(TiffImagePlugin.COMPRESSION, 1)}"


def _ends_early(data: bytes, image_format: str, tags: dict[int, Any]) -> bool:
    """Return whether a file is shorter than its structure states; for formats whose libraries do not report it."""
    if image_format == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if image_format == "PNG":
        return b"IEND" not in data[-64:] and b"IDAT" not in data
    if image_format == "JPEG":
        return b"\xff\xda" not in data
    if image_format != "TIFF":
        return False
    offsets = tags.get(TiffImagePlugin.STRIPOFFSETS) or tags.get(TiffImagePlugin.TILEOFFSETS) or ()
    counts = tags.get(TiffImagePlugin.STRIPBYTECOUNTS) or tags.get(TiffImagePlugin.TILEBYTECOUNTS) or ()
    if not count_pages(data) or has_cut_tag(data):
        return True
    return any(at + n > len(data) for at, n in zip(offsets, counts, strict=False))
