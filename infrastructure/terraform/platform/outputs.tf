output "settings" {
  description = "Settings of the programs (docs/reference/settings.md), for the chart's values: terraform output -json settings."
  value = {
    aws     = { region = var.region }
    streams = { transactions = local.transactions, labels = local.labels }
    archive = { bucket = local.archive, kms_key = module.kms.key_arn, retention_days = var.archive_retention_days }
    alerts  = { table = local.alerts }
    job     = { checkpoint = "s3a://${local.checkpoints}/fraud" }
    model   = { endpoint = var.endpoint == null ? null : var.name, registry = "s3://${local.archive}/models" }
  }
}

output "cluster" {
  description = "Name of the cluster."
  value       = module.eks.name
}

output "registry" {
  description = "Address that the images lie below; the chart's images.registry."
  value       = "${var.account_id}.dkr.ecr.${var.region}.amazonaws.com/${var.name}"
}

output "model_role_arn" {
  description = "Role of the models, for `fraud models deploy`; null without an endpoint."
  value       = one(module.sagemaker[*].role_arn)
}

output "delivery_role_arns" {
  description = "Roles of the workflows that deliver; empty without a repository."
  value       = try(module.delivery[0].role_arns, {})
}

output "alarm_names" {
  description = "CloudWatch alarms."
  value       = module.alarms.alarm_names
}
