"""What the dock widgets remember: presets with names, and the settings of the last run."""
