"""Reports of runs, and verification and repair of results."""
