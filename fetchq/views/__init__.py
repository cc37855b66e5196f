"""The views: each shows a Summary, or Results, to people."""
