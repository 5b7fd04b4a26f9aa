"""Safety: pictures that are not published or shown, by the corpora's own marks and by lists of hashes."""
