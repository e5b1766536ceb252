"""Denoise and super-resolve arrays of any size with Restormer and SwinIR."""

__version__ = "0.1.0"
