"""What a TOML file asks of the laboratory, read whole and checked before hours of work."""
