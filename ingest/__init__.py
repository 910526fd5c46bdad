"""The ingest role: checks usage events and packs the good ones into frames."""
