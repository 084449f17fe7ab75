"""How an incident is handled: who takes charge, who is told, when it is over."""
