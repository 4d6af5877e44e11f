"""Loihi 2, simulated: the fixed-point arithmetic of its CUBA LIF neurons."""
