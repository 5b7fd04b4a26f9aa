"""The page of a build, dataset/report.html: figures, tables and pictures, made from the build's tables."""
