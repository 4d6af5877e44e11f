"""Drivers: one file or folder per chip, one per camera. They know nrt's contracts and nothing of simulators."""
