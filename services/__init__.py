"""The shared kit: what the three roles have in common, and the command line."""
