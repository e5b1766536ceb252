"""From a recipe to a plan: open settings chosen, everything checked, nothing computed yet."""
