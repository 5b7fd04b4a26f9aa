"""Keypoints of a picture as bytes, so that it can be compared later without the picture."""

import struct

import numpy as np

from stages.images.keypoints import MIN_INLIERS, Keypoints

_HEAD = struct.Struct("<4H")  # keypoints, width of the picture, width and height of the reduced one
_N_BYTES = 128  # of a descriptor
_PER_PX = 64  # positions are stored in 1/64 px: 320 px then fit into 2 bytes


def pack_keypoints(keypoints: Keypoints) -> bytes:
    """Return keypoints as bytes, some 54 kB; empty if they are too few to agree with another picture's."""
    n_points = len(keypoints.points)
    if n_points < MIN_INLIERS:
        return b""
    height, width = keypoints.small.shape
    places = np.rint(keypoints.points * _PER_PX).clip(0, 0xFFFF).astype("<u2")
    head = _HEAD.pack(n_points, keypoints.width_px, width, height)
    return head + places.tobytes() + keypoints.descriptors.tobytes() + keypoints.small.tobytes()


def unpack_keypoints(data: bytes) -> Keypoints:
    """Return the packed keypoints; empty for a picture with too few.

    Raises:
        ValueError: the bytes are not packed keypoints.
    """
    if not data:
        empty = np.zeros((1, 1), np.uint8)
        return Keypoints(np.empty((0, 2), np.float32), np.empty((0, _N_BYTES), np.uint8), 1, empty)
    if len(data) < _HEAD.size:
        raise ValueError(f"packed keypoints have at least {_HEAD.size} bytes, found {len(data)}")
    n_points, width_px, width, height = _HEAD.unpack_from(data)
    sizes = [4 * n_points, _N_BYTES * n_points, width * height]
    if len(data) != _HEAD.size + sum(sizes):
        raise ValueError(f"expected {_HEAD.size + sum(sizes)} bytes of packed keypoints, found {len(data)}")
    places, descriptors, small = np.split(np.frombuffer(data, np.uint8, offset=_HEAD.size), np.cumsum(sizes)[:2])
    points = (places.view("<u2").reshape(n_points, 2) / _PER_PX).astype(np.float32)
    return Keypoints(points, descriptors.reshape(n_points, _N_BYTES), width_px, small.reshape(height, width))
