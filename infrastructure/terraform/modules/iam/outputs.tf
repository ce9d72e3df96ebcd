output "role_arns" {
  description = "ARN of each workload's role."
  value       = { for workload, role in aws_iam_role.workload : workload => role.arn }
}
