"""Reader of RS5M's released tars."""
