"""Assess results that are shown, and find the places to look at, without Qt."""
