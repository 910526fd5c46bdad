"""`make scaleout`: several of each server and of each role, secured links, and old builds beside new ones, for real."""
