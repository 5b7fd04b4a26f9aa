"""The parts of caption: ranks by two scorers, views of the turned image, the choice; no image is read here."""
