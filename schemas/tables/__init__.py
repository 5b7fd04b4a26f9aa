"""Every table a stage writes: its key and its columns.

The meanings of columns are in `schemas/fields`.
"""

# All names, so that a table is named once, where it is declared.
from schemas.tables.captions import *  # noqa: F403
from schemas.tables.dataset import *  # noqa: F403
from schemas.tables.evaluation import *  # noqa: F403
from schemas.tables.pictures import *  # noqa: F403
from schemas.tables.sources import *  # noqa: F403
from schemas.tables.table import Table as Table
