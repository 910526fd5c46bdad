"""The whole pipeline as processes of its own, on real servers, judged by the oracle."""
