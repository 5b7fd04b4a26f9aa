"""Target withdraw: list the samples, URLs, hosts and images that must no longer be requested or published."""
