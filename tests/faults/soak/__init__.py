"""The soak: the whole system under a steady load while faults are drawn from a seed; then everything is compared."""
