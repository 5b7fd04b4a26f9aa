"""Target screen: decode each image once under limits, and decide which images may be published."""
