"""Tests that a device must pass, to be subclassed by whoever writes one."""
