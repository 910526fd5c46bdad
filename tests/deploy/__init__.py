"""`make deploy-checks`: the files under `deploy/`, checked as far as it goes without a Docker engine or a cluster."""
