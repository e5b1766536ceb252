"""Readers of arrays in memory that are not plain NumPy arrays."""
