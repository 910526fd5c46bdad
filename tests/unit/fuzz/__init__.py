"""The fuzzing harness: what it puts into cases, and what it excuses."""
