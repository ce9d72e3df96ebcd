output "settings" {
  description = "Settings of the programs, for the chart's values."
  value       = module.platform.settings
}

output "cluster" {
  description = "Name of the cluster."
  value       = module.platform.cluster
}

output "registry" {
  description = "Address that the images lie below; the chart's images.registry."
  value       = module.platform.registry
}

output "delivery_role_arns" {
  description = "Roles of the workflows that deliver, for the GitHub environment's variables RELEASE_ROLE and MODELS_ROLE."
  value       = module.platform.delivery_role_arns
}

output "model_role_arn" {
  description = "Role of the models, for `fraud models deploy`."
  value       = module.platform.model_role_arn
}
