output "arn" {
  description = "ARN of the table."
  value       = aws_dynamodb_table.alerts.arn
}

output "name" {
  description = "Name of the table."
  value       = aws_dynamodb_table.alerts.name
}
