"""What pre-training minimises: one file an objective."""
