"""The boxes of the dock widgets, one class a module."""
