"""`make bench-curves`: what a figure depends on, as numbers and as plots."""
