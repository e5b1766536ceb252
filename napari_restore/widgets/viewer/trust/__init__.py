"""Show the places of an assessment and its maps in the viewer."""
