"""What a deployment needs: from events, users and organizations to partitions, workers and memory. Pure formulas."""
