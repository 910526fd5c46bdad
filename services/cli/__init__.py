"""The `tidemark` command line, one file a command group."""
