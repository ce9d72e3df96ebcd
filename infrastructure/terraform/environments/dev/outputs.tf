output "settings" {
  description = "Settings of the programs, for the chart's values."
  value       = module.platform.settings
}

output "cluster" {
  description = "Name of the cluster."
  value       = module.platform.cluster
}

output "repositories" {
  description = "Address of each image's repository."
  value       = module.platform.repositories
}

output "model_role_arn" {
  description = "Role of the models, for `fraud models deploy`."
  value       = module.platform.model_role_arn
}
