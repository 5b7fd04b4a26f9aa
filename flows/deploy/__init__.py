"""The Prefect flows that `make ui` serves: one for the build, one per make target of a stage."""
