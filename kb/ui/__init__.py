"""The web workbench: thin pages over kb functions; nothing here searches, parses or judges."""
