"""What the tests stand on: server starters, generators and an oracle that knows nothing of the product."""
