output "endpoint" {
  description = "Name of the endpoint."
  value       = aws_sagemaker_endpoint.this.name
}

output "endpoint_arn" {
  description = "ARN of the endpoint."
  value       = aws_sagemaker_endpoint.this.arn
}

output "role_arn" {
  description = "Role of the models, for `fraud models deploy`."
  value       = aws_iam_role.model.arn
}

output "variants" {
  description = "Variants that answer."
  value       = keys(local.live)
}
