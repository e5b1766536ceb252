"""Images: axes, pixel size and units; opening of sources and writing of results."""
