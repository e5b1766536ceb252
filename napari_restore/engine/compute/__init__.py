"""Tiles through the network: regions, blocks, devices that are lost on the way, and what a run would cost."""
