"""The scripts of deploy/."""
