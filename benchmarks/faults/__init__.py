"""Everything that can go wrong in a run, done to it hundreds of times."""
