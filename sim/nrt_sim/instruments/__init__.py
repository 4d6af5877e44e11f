"""Emulated measuring instruments, which stand behind a wire as the real ones do."""
