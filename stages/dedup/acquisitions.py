"""When pictures were taken, if place and time are stated: near pictures of two dates show one place, not one picture.

Not for comparing pictures: judging.py does that for keypoints and features, clusters.py for hashes.
"""

from stages.contract import Reads

_STATED = ("sample_id", "stated_latitude_deg", "stated_datetime")
EXIF_COLUMNS = ("exif_latitude_deg", "exif_datetime")
STATED_READS = (
    Reads("candidate", _STATED, is_whole=True),
    Reads("labelled_image", (*_STATED, "scene_id"), is_whole=True),
)

# SQL for `dated`: pixel_sha256 and date, as the number yyyymmdd, of pictures that state both. A picture of several
# samples has the facts of the first that states both. Few samples state anything: the others are left out before joins.
DATED = """
    stated AS (
        SELECT *, false AS has_scene FROM candidate WHERE stated_latitude_deg IS NOT NULL OR stated_datetime IS NOT NULL
        UNION ALL SELECT * EXCLUDE (scene_id), scene_id <> sample_id FROM labelled_image
    ), recorded AS (
        SELECT image_id, exif_latitude_deg, exif_datetime FROM image
        WHERE exif_latitude_deg IS NOT NULL OR exif_datetime IS NOT NULL
    ), fact AS (
        SELECT sample_id, image_id, TRY_CAST(regexp_replace(regexp_extract(
                   coalesce(stated_datetime, exif_datetime), '^\\s*(\\d{4}[-:]\\d\\d[-:]\\d\\d)', 1
               ), '[-:]', '', 'g') AS INT) AS date
        FROM sample LEFT JOIN stated USING (sample_id) LEFT JOIN recorded USING (image_id)
        WHERE coalesce(stated_datetime, exif_datetime) IS NOT NULL
          AND (coalesce(stated_latitude_deg, exif_latitude_deg) IS NOT NULL OR has_scene)
    ), dated AS (
        SELECT pixel_sha256, min_by(date, sample_id) AS date FROM fact JOIN image USING (image_id) WHERE date > 0
        GROUP BY pixel_sha256
    )
"""
