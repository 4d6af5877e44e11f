"""Model updates: signed packages, checked against what they promise, switched to between packets, and rolled back."""
