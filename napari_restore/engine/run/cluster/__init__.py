"""Blocks on a Dask cluster: its workers, what they do, and what is tried again."""
