"""The fault corpus: servers that misbehave, each in one way, and what fetchq has to make of that."""
