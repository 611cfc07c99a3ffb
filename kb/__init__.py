"""duibiao: Chinese data-governance policy, from documents to national-to-local gaps."""

__version__ = "0.1.0"
