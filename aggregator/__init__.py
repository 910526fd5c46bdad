"""The aggregator role: folds frames into counter increments and applies them once."""
