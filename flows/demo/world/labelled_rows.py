"""One labelled image of the generated world: its planned fate, and what is true of it."""

from dataclasses import dataclass


@dataclass
class LabelledRow:
    """A labelled image while it is planned, and as `labelled_truth.csv` has it.

    Attributes:
        stage: the one that decides; write_shards for kept ones.
        path: the image, or the folder of its bands, under SOURCES.
        datetime: ISO 8601 in UTC, to the second; "" where the corpus does not say.
        copy_of: sample_id of a sample with the same pixels, "" if there is none.
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
        """Plan that the reader of the labelled corpora refuses the sample."""
        self.stage, self.reason = "read_labelled", reason

    def __post_init__(self) -> None:
        self.scene_id = self.scene_id or self.sample_id
