"""Texts that are longer than the encoder: windows, and answers put together from them."""
