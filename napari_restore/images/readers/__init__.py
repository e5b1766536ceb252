"""One module for each format that images are read from."""
