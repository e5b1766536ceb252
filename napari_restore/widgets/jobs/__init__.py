"""Everything that a dock widget does and that needs no window; nothing here imports Qt."""
