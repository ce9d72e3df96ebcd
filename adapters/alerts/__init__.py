"""The alert table in DynamoDB."""
