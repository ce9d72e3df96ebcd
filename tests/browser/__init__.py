"""The console in a real browser: few and fast; what needs no browser is tested on the API."""
