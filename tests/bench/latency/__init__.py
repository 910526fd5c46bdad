"""`make bench-latency`: from a producer's acknowledgement until the API shows it, at several rates of other traffic."""
