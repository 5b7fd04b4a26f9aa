"""The pipeline: reading `STAGES` is reading it. Plain functions over tables; no orchestrator, no build paths."""

from stages.caption.further_texts import JOIN_TEXTS
from stages.caption.stage import CHOOSE_CAPTIONS, DRAW_CAPTIONS, RANK_CAPTIONS
from stages.contamination.between_sets import COMPARE_SETS, FIND_SET_PAIRS
from stages.contamination.candidates import COMPARE_CANDIDATES, FIND_CANDIDATES
from stages.contamination.description import DESCRIBE_EVALUATION, PLAN_GALLERY, SUMMARISE_GALLERY
from stages.contamination.equal_captions import FIND_CAPTIONS
from stages.contamination.ground import FIND_GROUND_OVERLAP, FIND_SAME_GROUND
from stages.contamination.marks import FIND_CONTAMINATED, FIND_OVERLAP
from stages.contamination.matrix import COUNT_CONTAMINATION
from stages.contamination.places import LOCATE_EVALUATION
from stages.contamination.stage import HASH_EVALUATION, LIST_EVALUATION, LIST_EVALUATION_CAPTIONS
from stages.contract import Stage
from stages.dedup.judging import JUDGE_PAIRS
from stages.dedup.pairs import COMPARE_PAIRS, FIND_PAIRS
from stages.dedup.stage import CLUSTER, DROP_DUPLICATES
from stages.dedup.summaries import SUMMARISE_KEYPOINTS
from stages.download.stage import DOWNLOAD, OPEN_PASS, REDUCE_ATTEMPTS
from stages.embed.stage import EMBED, EMBED_PROMPTS, PLAN_PICTURES
from stages.filter.stage import FILTER
from stages.geometa.stage import DESCRIBE_GEOMETA
from stages.gpe.stage import LIST_TEXTS, NAME_PLACES, TAG_PLACES
from stages.inventory.stage import INVENTORY, LIST_SOURCES
from stages.labelled.patches import LIST_PATCHES
from stages.labelled.stage import READ_LABELLED
from stages.match.stage import LIST_OWN_CAPTIONS, MATCH_CAPTIONS, RANK_MATCHES
from stages.outliers.scores import SCORE_DETECTOR, SCORE_VLM
from stages.outliers.stage import DROP_OUTLIERS, SET_THRESHOLDS
from stages.plan.stage import PLAN
from stages.safety.stage import RECORD_HASHES
from stages.sample.stage import LIST_SAMPLES
from stages.screen.stage import SCREEN
from stages.shard.crosswalk import WRITE_CROSSWALK
from stages.shard.groups import GROUP_SAMPLES
from stages.shard.metafile import WRITE_METAFILE
from stages.shard.origin import LIST_ORIGINS
from stages.shard.pairs import DESCRIBE_SAMPLES, WRITE_PAIRS
from stages.shard.rights import LIST_LEFT_OUT
from stages.shard.stage import PLAN_SHARDS, WRITE_SHARDS
from stages.stats.counts import COUNT_COUNTRIES, COUNT_MONTHS, COUNT_RS3, COUNT_TEXTS, COUNT_UTM_ZONES
from stages.stats.emails import COUNT_EMAILS
from stages.stats.filter_counts import COUNT_KEYWORDS, COUNT_SOURCES
from stages.stats.further_texts import COUNT_FURTHER_TEXTS
from stages.stats.matches import COUNT_CAPTION_COSINES, COUNT_CAPTION_TIERS
from stages.stats.outliers import COUNT_OUTLIER_CELLS, COUNT_OUTLIER_OVERLAP
from stages.stats.rates import COUNT_RATES
from stages.stats.sizes import COUNT_CAPTION_LENGTHS, COUNT_IMAGE_SIZES
from stages.stats.splits import COUNT_SPLITS
from stages.stats.stage import COUNT_FUNNEL
from stages.withdraw.samples import LIST_BARRED
from stages.withdraw.stage import LIST_WITHDRAWN

STAGES: tuple[Stage, ...] = (
    LIST_SOURCES,
    INVENTORY,
    FILTER,
    LIST_WITHDRAWN,
    RECORD_HASHES,
    PLAN,
    OPEN_PASS,
    DOWNLOAD,
    REDUCE_ATTEMPTS,
    LIST_PATCHES,
    READ_LABELLED,
    LIST_SAMPLES,
    SCREEN,
    PLAN_PICTURES,
    EMBED_PROMPTS,
    EMBED,
    SUMMARISE_KEYPOINTS,
    FIND_PAIRS,
    COMPARE_PAIRS,
    JUDGE_PAIRS,
    CLUSTER,
    DROP_DUPLICATES,
    SCORE_DETECTOR,
    SCORE_VLM,
    SET_THRESHOLDS,
    DROP_OUTLIERS,
    DRAW_CAPTIONS,
    RANK_CAPTIONS,
    CHOOSE_CAPTIONS,
    JOIN_TEXTS,
    LIST_OWN_CAPTIONS,
    MATCH_CAPTIONS,
    RANK_MATCHES,
    DESCRIBE_GEOMETA,
    LIST_TEXTS,
    TAG_PLACES,
    NAME_PLACES,
    LIST_EVALUATION,
    LIST_EVALUATION_CAPTIONS,
    HASH_EVALUATION,
    DESCRIBE_EVALUATION,
    PLAN_GALLERY,
    SUMMARISE_GALLERY,
    FIND_CANDIDATES,
    COMPARE_CANDIDATES,
    FIND_SET_PAIRS,
    COMPARE_SETS,
    FIND_CONTAMINATED,
    FIND_OVERLAP,
    LOCATE_EVALUATION,
    FIND_SAME_GROUND,
    FIND_GROUND_OVERLAP,
    FIND_CAPTIONS,
    COUNT_CONTAMINATION,
    GROUP_SAMPLES,
    PLAN_SHARDS,
    WRITE_SHARDS,
    LIST_ORIGINS,
    DESCRIBE_SAMPLES,
    WRITE_PAIRS,
    WRITE_METAFILE,
    LIST_BARRED,
    WRITE_CROSSWALK,
    LIST_LEFT_OUT,
    COUNT_FUNNEL,
    COUNT_RATES,
    COUNT_OUTLIER_CELLS,
    COUNT_OUTLIER_OVERLAP,
    COUNT_CAPTION_COSINES,
    COUNT_CAPTION_TIERS,
    COUNT_IMAGE_SIZES,
    COUNT_CAPTION_LENGTHS,
    COUNT_SOURCES,
    COUNT_KEYWORDS,
    COUNT_RS3,
    COUNT_TEXTS,
    COUNT_SPLITS,
    COUNT_EMAILS,
    COUNT_FURTHER_TEXTS,
    COUNT_COUNTRIES,
    COUNT_MONTHS,
    COUNT_UTM_ZONES,
)

MODULES: tuple[str, ...] = tuple(dict.fromkeys(stage.module for stage in STAGES))
