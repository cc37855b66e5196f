"""The version of fetchq, which everything may import."""

__all__ = ["__version__"]

__version__ = "0.1.0"
