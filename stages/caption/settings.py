"""Settings of drawing and ranking captions."""

from pydantic import Field

from stages.caption.choice import (
    CaptionerParams,
    TextParams,
)


class DrawParams(CaptionerParams):
    """How the captioner samples captions."""

    captioner_batch_size: int = Field(4, ge=1, description="images per batch")
    captioner_n_threads: int = Field(1, ge=1, description="CPU threads of a worker; the number affects rounding")
    n_candidates: int = Field(20, ge=1, description="captions drawn per image")  # RS5M: 20
    top_p: float = Field(0.95, gt=0, le=1, description="probability mass to sample from")  # RS5M's script
    top_k: int = Field(50, ge=1, description="number of tokens to sample from")  # RS5M's script
    max_new_tokens: int = Field(50, ge=1, description="maximum length of a caption, tokens")  # RS5M's script
    draw_seed: int = Field(0, description="with the sample's id, seeds the sampling")


class RankParams(TextParams):
    """Which scorers rank the captions, and how many each keeps."""

    first_scorer: str = Field(
        "clip-vit-h-14", description="a scorer of manifests/models.toml: ranks all captions"
    )  # RS5M: CLIP ViT-H/14
    second_scorer: str = Field(
        "clip-rn50x64",
        description="a scorer of manifests/models.toml: ranks the captions that the first keeps, and scores the views",
    )  # RS5M: CLIP ResNet50x64
    scorer_n_threads: int = Field(1, ge=1, description="CPU threads of a worker; the number affects rounding")
    scorer_batch_size: int = Field(32, ge=1, description="images or views per forward pass")
    n_first: int = Field(10, ge=1, description="captions kept by the first scorer")  # RS5M: 10
    n_second: int = Field(5, ge=1, description="captions kept by the second scorer")  # RS5M: 5
    n_views: int = Field(12, ge=2, description="rotated views per image")  # RS5M: 12, in steps of 30 degrees
