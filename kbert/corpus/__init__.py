"""From text files to a vocabulary and a token store."""
