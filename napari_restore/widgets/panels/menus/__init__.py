"""Menus behind a button: recipes, presets and what is remembered, beside *Run*."""
