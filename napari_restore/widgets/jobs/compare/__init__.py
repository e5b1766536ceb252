"""A source beside its results: which pixels belong together, and figures of them."""
