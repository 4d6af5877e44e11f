"""tinyODIN: 256 neurons and 64k 4-bit synapses behind an AER bridge."""
