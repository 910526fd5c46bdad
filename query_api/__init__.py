"""The query API role: answers usage requests from the counters."""
