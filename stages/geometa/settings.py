"""The settings of geometa: which positions, times and tags are accepted, and how they are described."""

from pydantic import Field, model_validator

from stages.contract import Params


class GeometaParams(Params):
    """Which positions, times and tags are accepted, and how they are described."""

    max_city_km: float = Field(
        50.0, ge=0, description="maximum great-circle distance to a place that gives the city, km"
    )  # our choice: beyond it "near" misleads
    max_country_km: float = Field(100.0, ge=0, description="maximum distance to a place that gives the country, km")
    # For 144,563 GeoNames places, the nearest other one is in the same country for 99 % up to 10 km, 97 % at 25 to
    # 50 km, 93 % at 75 to 100 km, and 88 % at 150 to 200 km.
    tropic_latitude_deg: float = Field(
        23.44, ge=0, le=90, description="latitude up to which there are no seasons, degrees"
    )  # obliquity of the ecliptic, IAU 2006: 23.439 degrees at J2000
    earliest_year: int = Field(1858, ge=1000, le=9999, description="earlier times are ignored as mistakes")
    # 1858: the first aerial photograph, Nadar's of Paris.
    latest_year: int = Field(2030, ge=1000, le=9999, description="later times are ignored as mistakes")  # YFCC has 4501
    min_tag_prob: float = Field(0.9, ge=0, le=1, description="minimum probability of a tag in a sentence")  # RS5M
    max_tags: int = Field(3, ge=1, description="maximum number of machine tags in a sentence")  # RS5M
    exif_meta_caption: bool = Field(
        False, description="meta captions also use facts known only from EXIF"
    )  # RS5M uses only facts from the corpora
    template_seed: str = Field("meta", description="with the sample's id, selects a variant of the templates")

    @model_validator(mode="after")
    def _check_years(self) -> "GeometaParams":
        if self.earliest_year > self.latest_year:
            raise ValueError(f"earliest_year {self.earliest_year} is after latest_year {self.latest_year}")
        return self
