"""The JSON API: one router a file, each a function of the service that it speaks for."""
