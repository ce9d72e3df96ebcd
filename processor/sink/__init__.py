"""The sink: joins a record's parts, decides, stores decisions once and alerts once."""
