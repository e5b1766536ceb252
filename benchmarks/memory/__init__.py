"""Memory of whole jobs, planned and measured: by size of the source, by its kind, and on a device."""
