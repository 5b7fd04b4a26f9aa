"""One labelled image of the generated world: its planned fate and its true values."""

from dataclasses import dataclass


@dataclass
class LabelledRow:
    """A labelled image, as planned and as written to `labelled_truth.csv`.

    Attributes:
        stage: the deciding stage; write_shards for kept samples.
        path: the image, or the folder of its bands, under SOURCES.
        datetime: ISO 8601 in UTC, to the second; "" if unknown.
        copy_of: sample_id of a sample with the same pixels; "" if none.
    """

    sample_id: str
    corpus: str
    stage: str = "write_shards"
    reason: str = ""
    path: str = ""
    scene_id: str = ""
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    datetime: str = ""
    country_code: str = ""
    labels: tuple[str, ...] = ()
    copy_of: str = ""

    def refuse(self, reason: str) -> None:
        """Set the fate: read_labelled rejects the sample for this reason."""
        self.stage, self.reason = "read_labelled", reason

    def __post_init__(self) -> None:
        self.scene_id = self.scene_id or self.sample_id
