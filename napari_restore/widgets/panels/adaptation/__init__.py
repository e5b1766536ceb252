"""The panels of the dock widget that adapts a model."""
