"""The edge daemon, `nrt serve`: pipelines that run unattended, and what people watch and steer them by."""
