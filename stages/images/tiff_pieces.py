"""Check before decoding that a TIFF has all of its strips or tiles, in a form that PIL reads.

Decoders leave missing ones black, or show other bytes of the file in their place.
"""

from PIL import Image, TiffImagePlugin

_UNPACKED, _OLD_JPEG = 1, 6  # compressions; the second may have other tags in place of strips
_IN_PLANES = 2
_YCBCR = 6
_TILE_WIDTH = TiffImagePlugin.TILEWIDTH


def check_pieces(image: Image.Image) -> None:
    """Check that an opened TIFF states a place for each strip or tile; other formats pass.

    Raises:
        OSError: strips or tiles are missing.
        NotImplementedError: some have no place, as in sparse files of GDAL; or PIL cannot read subsampled colours.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    tags = image.tag_v2
    compression = tags.get(TiffImagePlugin.COMPRESSION, _UNPACKED)
    # PIL reads unpacked strips and libtiff packed tiles if a file states both.
    is_tiled = (TiffImagePlugin.STRIPOFFSETS not in tags) if compression == _UNPACKED else _TILE_WIDTH in tags
    n_due = _count_due(tags, is_tiled)
    kinds = (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.TILEOFFSETS)
    places = next((tags[kind] for kind in (kinds[::-1] if is_tiled else kinds) if kind in tags), ())
    if compression == _OLD_JPEG or not n_due or not places:
        return
    if len(places) < n_due:
        raise OSError(f"image file is truncated ({len(places)} of {n_due} strips or tiles)")
    if n_empty := sum(place == 0 for place in places[:n_due]):
        raise NotImplementedError(f"sparse, {n_empty} of {n_due} strips or tiles have no pixels")
    _check_subsampling(tags)


def _count_due(tags: TiffImagePlugin.ImageFileDirectory_v2, is_tiled: bool) -> int:
    """Return how many strips or tiles the picture has; 0 if their size is not known."""
    width, height = tags.get(TiffImagePlugin.IMAGEWIDTH, 0), tags.get(TiffImagePlugin.IMAGELENGTH, 0)
    if is_tiled:
        piece = tags.get(_TILE_WIDTH, 0), tags.get(TiffImagePlugin.TILELENGTH, 0)
    else:
        piece = width, tags.get(TiffImagePlugin.ROWSPERSTRIP, height)
    if not all(isinstance(length, int) and length > 0 for length in (width, height, *piece)):
        return 0
    n_bands = 1
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _IN_PLANES:
        # PIL leaves out bands behind the colours that have no meaning.
        others = tags.get(TiffImagePlugin.EXTRASAMPLES, ())
        n_bands = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1) - (0 if any(others) else len(others))
    n_pieces: int = -(-width // piece[0]) * -(-height // piece[1]) * n_bands
    return n_pieces


def _check_subsampling(tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Refuse unpacked colours of fewer samples than pixels: PIL reads them as if each pixel had its own."""
    if (
        tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) != _YCBCR
        or tags.get(TiffImagePlugin.COMPRESSION, _UNPACKED) != _UNPACKED
        or len(tags.get(TiffImagePlugin.BITSPERSAMPLE, ())) != 3
    ):
        return
    factors = tags.get(TiffImagePlugin.YCBCRSUBSAMPLING, (2, 2))  # the default. Source: TIFF 6.0, section 21
    counts = tags.get(TiffImagePlugin.STRIPBYTECOUNTS) or tags.get(TiffImagePlugin.TILEBYTECOUNTS) or ()
    n_samples = 3 * tags[TiffImagePlugin.IMAGEWIDTH] * tags[TiffImagePlugin.IMAGELENGTH]
    if factors != (1, 1) and sum(counts) < n_samples:
        raise NotImplementedError(f"unpacked YCbCr, subsampled by {factors}")
