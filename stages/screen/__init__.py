"""Target screen: decode each image once under limits, and decide what may be published."""
