"""Changes of layers, canvas and camera of the viewer by the dock widgets."""
