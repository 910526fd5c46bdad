"""The rows of the fault matrix: real processes are killed, frozen and cut off, and everything is counted afterwards.

`make faults` runs them in scaled durations, `make faults FULL=1` as the matrix says.
"""
