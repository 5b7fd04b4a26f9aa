"""The pipeline: reading `STAGES` is reading it. Plain functions over tables; no orchestrator, no build paths."""

from stages.contract import Stage
from stages.dedup import CLUSTER, DROP_DUPLICATES
from stages.download import DOWNLOAD, OPEN_PASS, SETTLE
from stages.filter import FILTER
from stages.inventory import INVENTORY, LIST_SOURCES
from stages.plan import PLAN
from stages.screen import SCREEN
from stages.shard import PLAN_SHARDS, WRITE_METAFILE, WRITE_SHARDS
from stages.stats import COUNT_FUNNEL

STAGES: tuple[Stage, ...] = (
    LIST_SOURCES,
    INVENTORY,
    FILTER,
    PLAN,
    OPEN_PASS,
    DOWNLOAD,
    SETTLE,
    SCREEN,
    CLUSTER,
    DROP_DUPLICATES,
    PLAN_SHARDS,
    WRITE_SHARDS,
    WRITE_METAFILE,
    COUNT_FUNNEL,
)

MODULES: tuple[str, ...] = tuple(dict.fromkeys(stage.module for stage in STAGES))
