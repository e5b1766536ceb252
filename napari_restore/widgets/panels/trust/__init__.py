"""The panels of the dock widget that assesses a result."""
