"""Use cases: each builds a request, hands it to the engine and answers; reading goes past the engine, to the store. None writes."""
