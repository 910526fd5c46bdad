"""One role or module on a real server."""
