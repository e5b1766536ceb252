"""Sections of a dock widget that connect panels with the viewer and with the controller."""
