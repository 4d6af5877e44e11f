"""`cpu:`, the event-driven engine: work proportional to spikes, not to pixels."""
