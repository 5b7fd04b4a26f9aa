"""Remove metadata from image files, one module per format; strip_metadata.py beside this folder chooses between them.

Not for decoding: these modules walk through a file's structure and copy what decides its pixels.
"""
