"""Simulated devices and sensors: they know nrt's contracts and nothing of drivers."""
