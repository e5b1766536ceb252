"""The menu beside *Run*: recipes, presets and what is remembered."""
