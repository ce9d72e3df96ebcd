output "role_arns" {
  description = "Role of each workflow: `release` pushes images and installs the chart, `models` deploys a model."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}
