"""The analyst's web application."""
