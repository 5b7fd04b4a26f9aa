"""Every column once: its type, unit, meaning, and whether it enters the identity of a row.

Which table has which column is in `schemas/tables` and `schemas/statistic_tables.py`.
"""

from schemas.fields.dataset import DATASET_FIELDS
from schemas.fields.field import Field as Field
from schemas.fields.field import Kind as Kind
from schemas.fields.pictures import PICTURE_FIELDS
from schemas.fields.sources import REJECT_FIELDS, SOURCE_FIELDS
from schemas.fields.statistics import STATISTIC_FIELDS

FIELDS = (*SOURCE_FIELDS, *PICTURE_FIELDS, *DATASET_FIELDS, *STATISTIC_FIELDS, *REJECT_FIELDS)
FIELD: dict[str, Field] = {field.name: field for field in FIELDS}
