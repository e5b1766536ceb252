"""Who carries the blocks of a plan out: threads here, or a cluster."""
