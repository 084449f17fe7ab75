"""The receipt phase of an environmental permit, as a Dutch municipality runs it."""
