"""Compare a source with its results: matching pixels, and figures of them."""
