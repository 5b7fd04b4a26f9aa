"""Image files: formats, EXIF, repair of damaged ends, and the first picture as shown."""
