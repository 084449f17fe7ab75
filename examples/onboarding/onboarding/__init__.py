"""How somebody joins a company: from the signed contract to the end of the probation."""
