"""Emulated chips, each bit for bit what its documentation, its RTL or recordings of its silicon say."""
