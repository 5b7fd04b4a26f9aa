"""The gaps and the expected costs of a full build, before anything runs."""
