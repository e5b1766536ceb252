"""The boxes of the dock widgets."""
