"""The two published networks, written with torch and einops only."""
