"""Working on a text in parts: by threads and processes, by Apache Beam on many machines."""
