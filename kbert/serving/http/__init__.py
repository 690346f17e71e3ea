"""The HTTP server: one application, a file for each protocol that it speaks."""
