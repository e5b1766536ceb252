"""Work on threads beside the main one, and long work on the main thread in small steps."""
