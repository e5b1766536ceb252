"""Make a plan from a recipe: choose the settings that are open, and check all of them before anything is computed."""
