"""Device definitions, one TOML file per device; nrt.spec reads them."""
