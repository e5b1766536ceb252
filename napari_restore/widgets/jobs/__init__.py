"""Jobs of the dock widgets, without Qt: everything that needs no window."""
