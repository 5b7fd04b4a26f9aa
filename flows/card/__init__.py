"""Files published beside the tars: the dataset card, build.json, Croissant, citation, licences, LaTeX tables."""
