"""Device definitions (firmware_specs/*.toml) as numpy codecs, limits and tables."""
