"""Experiments: grids of models with intervals, minimal pairs."""
