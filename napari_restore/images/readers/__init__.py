"""Readers of image formats, one module each; `table` lists them in the order in which they are tried."""
