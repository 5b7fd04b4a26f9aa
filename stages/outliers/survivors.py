"""The scores of all survivors: a join of four whole tables, narrow enough to stay in memory at RS5M's size."""

# The hash tables of both scores hold every picture at once. As a 16-byte number a digest of 64 characters takes a third
# of the memory: with texts as keys the join spilled at 2 million candidates. That two of 5 million pictures have one
# number has a probability below 1e-25.
_NUMBER = "md5_number(pixel_sha256)"

# sample_id, image_id and both scores of each survivor, NULL for a missing score; in any order.
SCORES = f"""
    SELECT u.sample_id, u.image_id, v.vlm_score_cos, d.detector_prob
    FROM survivor u JOIN (SELECT image_id, {_NUMBER} AS picture FROM image) i USING (image_id)
    LEFT JOIN (SELECT {_NUMBER} AS picture, vlm_score_cos FROM vlm_score) v USING (picture)
    LEFT JOIN (SELECT {_NUMBER} AS picture, detector_prob FROM detector_score) d USING (picture)
"""
