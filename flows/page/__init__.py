"""The pages of a build, report.html and outliers.html, made from the build's tables."""
