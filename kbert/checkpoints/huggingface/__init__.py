"""Hugging Face's directories in and out, without PyTorch or transformers."""
