"""The demo profile: a generated world with its web server, and the small models trained on it."""
