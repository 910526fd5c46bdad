"""Each guarantee broken on purpose: a patch in a copy of the tree, and the tests that must fail under it.

`make mutations` runs `python -m tests.mutations`; `table.py` says which tests, `patches/` holds what they must see.
"""
