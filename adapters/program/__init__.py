"""What every program shares: options, settings, logging, metrics."""
