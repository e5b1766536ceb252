"""Everything a dock widget does that needs no window."""
