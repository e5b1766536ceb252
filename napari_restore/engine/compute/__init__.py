"""Restore tiles, regions and blocks with a network, and estimate the time of a run."""
