"""One module for each format that images are read from; `table` is the order in which they are asked."""
