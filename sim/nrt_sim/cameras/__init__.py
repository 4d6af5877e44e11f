"""Emulated cameras: boards that play a scene or a recording, as the real ones put their events on the wire."""
