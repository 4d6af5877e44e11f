"""Benchmarks: what nrt does per second and per joule, as ratios to named references measured in the same run."""
