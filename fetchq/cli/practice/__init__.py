"""The practice server that `fetchq serve` runs: slow, failing, redirecting and compressed answers on loopback."""
