"""`make fuzz`: schemathesis against a running API with data, all its checks in all its phases, from fixed seeds.

It is driven through schemathesis' engine, the one behind `st run`, and pytest judges what the engine reports:

- `st run` has all checks and phases, and neither counts by operation and status nor a floor under them.
- The pytest integration (`@schema.parametrize`) does not put ids of earlier answers into later cases, which is what
  `object_level_authorization` lives on, and has no stateful phase but a state machine of its own.
- The engine's events hold every case, answer and check. A run of it uses one core; several, each from a seed of its
  own, use them all.

`jobs.py` says what is run, `worker.py` runs one job, `mending.py` puts in what a schema cannot say.
"""
