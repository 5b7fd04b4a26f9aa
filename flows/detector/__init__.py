"""Train and measure a detector of remote sensing images on a user's folder."""
