"""`make incident`: a scripted day of incidents, and what lag, freshness, alerts and ledger say in each."""
