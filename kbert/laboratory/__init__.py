"""Experiments on trained models: minimal pairs."""
