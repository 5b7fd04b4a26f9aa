"""Remove metadata from image files, one module per format; ../strip_metadata.py selects the module.

These modules do not decode: they walk through a file's structure and copy everything that affects its pixels.
"""
