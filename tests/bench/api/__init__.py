"""Latency of the query API over a populated store, beside a bare route that returns the same bytes.

The store is a real Redis, filled by the aggregator's own fold with frames of usage and directory events: 24
organizations of Zipf sizes, 240 teams, 10,000 users, 400 days. What is asked for is the largest organization, its
largest team and its first user, so the figures are those of the heaviest answers.

`python -m query_api` and the bare route are processes of their own with the same server, options and event loop. The
bare route is a FastAPI app whose route returns the recorded answer of the operation, head and body: what is above it
is the API's own work, Redis included. The load comes from this process over connections that stay open. Its client
(`load`) does nothing but write a request, find the end of the answer and compare it: on two cores a generator that
takes as long as the server measures itself, as those in Python do, and Debian's wrk sends on no schedule.

First each operation alternates with its bare route in slices of a quarter second, at a fixed concurrency, so that what
else runs on the machine hits both: percentiles, requests a second, the ratio of the medians, and the processor time an
answer takes in each process. Then the maximum rate of the organization's usage, daily over 30 days, is taken as its
requests a second with all connections busy, and the same request is sent at half that rate on a schedule (exponential
gaps, seeded). A time is counted from the scheduled instant, so that waiting for a connection or a late timer counts.

A request that comes again finds its months remembered (`query_api.finished_blocks`), as that of a dashboard does while
nothing new is counted. The row `always other days` goes through more organizations and days than are remembered, so
that each block is read and made anew.

Every answer is compared byte by byte; one that differs ends the benchmark. The ratios are the figures to trust on a
machine that does other things; the times are its own.
"""
