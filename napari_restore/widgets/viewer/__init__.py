"""Layers, canvas and camera of the viewer."""
