"""Nordic Power Profiler Kit II, as a meter (`ppk2+serial:///dev/ttyACM0?volts=3.3`)."""
