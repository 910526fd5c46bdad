"""The benchmark of design.md section 9: a preloaded topic to the last counter visible, checked before it is told."""
