"""The machine that runs instances: one writer, services outside the transaction, timers, fences."""
