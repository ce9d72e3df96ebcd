"""Files that people bring: recordings, ground truth, small YAML files."""
