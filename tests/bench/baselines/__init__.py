"""What a Python team would write today, to measure beside Tidemark: batches summed, then one pipeline of increments.

Neither knows copies (each counts), distinct users, a ledger or an exact recovery; both count the same hours and days of
the same three scopes. They are written as their libraries' documentation teaches, with the batch sizes that suit them.
"""
