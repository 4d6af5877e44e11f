"""The GPU simulator: torch for dense projections, CUDA kernels for the rest; the same on torch's CPU backend.

`layout` says how a network lies in device memory, `ops` what a device must be able to do with it, `torch_ops` does it
with torch operators, `cuda_ops` with kernels. `engine` knows neither.
"""
