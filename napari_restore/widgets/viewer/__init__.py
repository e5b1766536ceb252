"""What the dock widgets do to layers, canvas and camera of the viewer."""
