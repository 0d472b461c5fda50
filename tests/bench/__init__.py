"""What migprep costs, as ratios of CPU time in one run with one interpreter: ``python -m tests.bench``."""
