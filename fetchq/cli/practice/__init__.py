"""The practice server that `fetchq serve` runs."""
