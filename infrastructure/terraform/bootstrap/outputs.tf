output "state_bucket" {
  description = "Bucket of the environments' state, for `terraform init -backend-config=bucket=...`."
  value       = keys(module.state.arns)[0]
}

output "github_provider_arn" {
  description = "Identity provider of GitHub's workflows, for the environments' variable `delivery`; null without a repository."
  value       = one(aws_iam_openid_connect_provider.github[*].arn)
}

output "github_role_arns" {
  description = "Roles of the workflows that plan and apply, for the repository's variables PLAN_ROLE and APPLY_ROLE."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}
