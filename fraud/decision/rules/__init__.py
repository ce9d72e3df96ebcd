"""The rule language: SQL expressions over one transaction and its features, checked at load, evaluated in columns."""
