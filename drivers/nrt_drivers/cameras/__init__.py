"""Event cameras: one file each. What their bytes mean is in nrt.formats, their addresses in firmware_specs."""
