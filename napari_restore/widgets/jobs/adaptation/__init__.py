"""Adapt a model to a layer, without Qt."""
