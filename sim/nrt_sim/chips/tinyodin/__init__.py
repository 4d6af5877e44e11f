"""tinyODIN, emulated: the chip and the bridge board it sits on."""
