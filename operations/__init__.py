"""What operators and analysts do to stored data: erase, compact, replay dead letters, backtest."""
