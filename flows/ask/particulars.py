"""Further tables of modules, besides given, kept and rejected rows: titles and queries by module."""

from collections.abc import Mapping

from stages.stats.filter_counts import SOURCES_QUERY

PARTICULARS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "inventory": (
        (
            "passed over under SOURCES",
            "SELECT reason, corpus, count(*) || CASE WHEN bool_or(detail LIKE '% more below %')"
            " THEN ' and more' ELSE '' END AS paths, array_to_string(min(path, 3), ', ') AS \"for example\","
            ' min_by(detail, path) AS "the first" FROM source_listing_rejects GROUP BY reason, corpus'
            " ORDER BY reason <> 'unreadable', corpus, reason",
        ),
    ),
    "filter": (
        (
            "keywords (a caption may have several), and how many strict rules would leave",
            "SELECT keyword, count(*) AS captions, count(*) FILTER (list_contains(strict_keywords, keyword)) AS"
            " strictly FROM (SELECT unnest(keywords) AS keyword, strict_keywords FROM candidate)"
            " GROUP BY keyword ORDER BY captions DESC, keyword",
        ),
        (
            "captions that strict rules would refuse (filter.is_strict), with three examples by keyword",
            "SELECT keyword, count(*) AS captions, array_to_string(min_by(left(caption, 60), sha256(sample_id),"
            " 3), ' / ') AS examples FROM (SELECT unnest(keywords) AS keyword, caption, sample_id FROM candidate"
            " WHERE len(strict_keywords) = 0) GROUP BY keyword ORDER BY captions DESC, keyword",
        ),
        ("rows by source file", SOURCES_QUERY),
    ),
    "download": (
        (
            "URLs by pass",
            "SELECT pass, count(*) AS attempted, count(*) FILTER (is_fetched) AS fetched,"
            " count(*) FILTER (NOT is_fetched) AS failed, coalesce(sum(n_bytes), 0)::BIGINT AS bytes"
            " FROM fetch_attempt GROUP BY pass ORDER BY pass",
        ),
        (
            "URLs not fetched, by reason",
            "SELECT reason, count(*) AS urls FROM fetched_rejects GROUP BY reason ORDER BY urls DESC, reason",
        ),
    ),
    "screen": (
        (
            "valid images by format",
            "SELECT image_format AS format, count(*) AS images, min(width_px) AS narrowest_px, max(width_px) AS"
            " widest_px FROM image GROUP BY image_format ORDER BY images DESC, format",
        ),
    ),
    "dedup": (
        (
            "clusters by size",
            "SELECT cluster_n_samples AS samples_in_cluster, count(DISTINCT cluster_id) AS clusters"
            " FROM cluster_member GROUP BY 1 ORDER BY 1",
        ),
        (
            "pairs of pictures that no hash joins, by result of the comparison",
            "SELECT pair_kind, count(*) AS pairs, min(n_inliers) AS fewest_inliers, max(n_inliers) AS most_inliers"
            " FROM judged_pair GROUP BY 1 ORDER BY 1",
        ),
        (
            "places that pictures with near hashes show at several stated dates (same_place)",
            "SELECT count(DISTINCT same_place_id) AS places, count(DISTINCT cluster_id) AS clusters,"
            " count(*) AS samples FROM cluster_member WHERE same_place_id IS NOT NULL",
        ),
    ),
    "contamination": (
        (
            "pictures that evaluation sets share with corpora and with each other, by how they were found and by the"
            " set's split; the other pairs share none",
            'SELECT evaluation_set, n_pictures AS pictures, source_kind AS "compared with", source AS "name",'
            ' n_contaminated AS shared, n_by_pixels AS "equal pixels", n_by_phash AS "near hash",'
            " n_by_keypoints AS keypoints, n_in_train AS train, n_in_val AS val, n_in_test AS test,"
            ' n_in_unsplit AS "no split", n_on_same_ground AS "same ground", n_equal_captions AS "equal captions"'
            " FROM contamination"
            " WHERE greatest(n_contaminated, n_on_same_ground, n_equal_captions) > 0"
            " ORDER BY evaluation_set, source_kind, source = 'Total', source",
        ),
        (
            "evaluation sets",
            "SELECT evaluation_set, evaluation_split, count(*) AS listed, count(i.phash) AS hashed,"
            " count(*) - count(i.phash) AS refused, any_value(f.evaluation_licence) AS licence"
            " FROM evaluation_file f LEFT JOIN evaluation_image i USING (evaluation_set, evaluation_path,"
            " evaluation_split) GROUP BY ALL ORDER BY ALL",
        ),
        (
            "passed over under EVAL, and pictures refused",
            "SELECT reason, evaluation_set, count(*) AS paths, array_to_string(min(evaluation_path, 3), ', ') AS"
            ' "for example" FROM (FROM evaluation_file_rejects UNION ALL FROM evaluation_image_rejects)'
            " GROUP BY ALL ORDER BY ALL",
        ),
    ),
    "labelled": (
        (
            "labelled images",
            "SELECT corpus, count(*) AS images, count(stated_latitude_deg) AS with_position, count(stated_datetime)"
            " AS with_time, count(DISTINCT scene_id) AS scenes FROM labelled_image GROUP BY corpus ORDER BY corpus",
        ),
    ),
    "outliers": (
        (
            "thresholds (a sample is kept that reaches both)",
            "SELECT score, rule, n_scored, top_share, threshold, n_at_least, n_tied FROM outlier_rule ORDER BY score",
        ),
        (
            "samples that remain, by top share of both scores (%)",
            "SELECT s.top AS vlm_top_percent, "
            + ", ".join(
                f"count(*) FILTER (vlm_at <= s.top / 100 AND detector_at <= {top} / 100) AS detector_top_{top}"
                for top in range(100, 55, -5)
            )
            + " FROM (SELECT cume_dist() OVER (ORDER BY vlm_score_cos DESC) AS vlm_at,"
            " cume_dist() OVER (ORDER BY detector_prob DESC) AS detector_at FROM survivor JOIN image USING (image_id)"
            " JOIN vlm_score USING (pixel_sha256) JOIN detector_score USING (pixel_sha256)),"
            " (SELECT unnest(range(100, 55, -5)) AS top) s GROUP BY s.top ORDER BY s.top DESC",
        ),
    ),
    "caption": (
        (
            "candidates",
            "SELECT corpus, count(*) AS candidates, count(*) FILTER"
            " (candidate_caption = '') AS empty, count(DISTINCT candidate_caption) AS distinct_captions,"
            " round(avg(rotation_mean_cos), 4) AS mean_cos, round(avg(rotation_variance), 6) AS mean_variance"
            " FROM caption_candidate JOIN caption_score USING (sample_id, n) JOIN sample USING (sample_id)"
            " GROUP BY ALL ORDER BY corpus",
        ),
    ),
    "geometa": (
        (
            "where and when",
            "SELECT corpus, count(*) AS samples, count(latitude_deg) AS with_position,"
            " count(country_code) AS with_country, count(taken_at) AS with_time, count(meta_caption) AS"
            " with_meta_caption FROM geometa JOIN sample USING (sample_id) GROUP BY ALL ORDER BY corpus",
        ),
    ),
    "gpe": (
        (
            "most frequent places",
            "SELECT place, count(DISTINCT sample_id) AS samples FROM place WHERE place IS NOT NULL GROUP BY place"
            " ORDER BY samples DESC, place LIMIT 20",
        ),
    ),
    "shard": (
        (
            "tars",
            "SELECT shard, count(*) AS samples, sum(published_n_bytes)::BIGINT AS image_bytes FROM shard"
            " GROUP BY shard ORDER BY shard",
        ),
    ),
}
