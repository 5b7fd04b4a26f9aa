import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
CODE = """
import sys
import pyarrow as pa
from flows.run.without_pandas import leave_pandas_out
leave_pandas_out()
assert pa.table({"a": [1, None]}).group_by("a").aggregate([([], "count_all")]).num_rows == 2
assert pa.schema([("a", pa.string())]).empty_table().num_rows == 0
assert "pandas" not in sys.modules
import pandas
assert pandas.DataFrame({"a": [1]}).shape == (1, 1)
leave_pandas_out()
assert sys.modules["pandas"] is pandas
"""


def test_arrow_tables_are_made_without_pandas_which_can_still_be_imported() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
