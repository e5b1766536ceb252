"""Outputs: store blocks, lock an output, and resume a run from the blocks that are stored."""
