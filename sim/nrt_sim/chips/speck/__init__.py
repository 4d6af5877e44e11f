"""An emulated Speck2f: the cores of the chip, the board around it, and a double of the vendor's calls.

What is modelled, from which published sources, and what was never checked on silicon: docs/speck-emulator.md.
"""
