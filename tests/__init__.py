"""The tests of Tidemark, from pure units to real processes on real servers."""
