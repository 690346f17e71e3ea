"""Google's releases in and out."""
