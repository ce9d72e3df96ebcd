# None has a default: terraform.tfvars names each, so that every plan and every apply is of the same values.

variable "account_id" {
  description = "AWS account; applying to another one is refused."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "zones" {
  description = "Three availability zones of the region."
  type        = list(string)
}

variable "admin_role_arns" {
  description = "Roles that administer the cluster, by a name for each."
  type        = map(string)
}

variable "public_access_cidrs" {
  description = "Who may reach the cluster's API from outside; empty for nobody."
  type        = list(string)
}

variable "consumers" {
  description = "Enhanced fan-out consumers of both streams; each is paid by the shard and hour."
  type        = list(string)
}

variable "delivery" {
  description = "The GitHub repository whose workflows deliver, which one of its environments, and the identity provider (output github_provider_arn of bootstrap); null for none."
  type        = object({ provider_arn = string, repository = string, environment = string })
}

variable "alarm_mail_addresses" {
  description = "Addresses that alarms are mailed to."
  type        = set(string)
}

variable "auto_mode" {
  description = "EKS Auto Mode beside the node groups: Karpenter, volumes of EBS and load balancers, run by AWS, and metrics-server; null for none, false once it was on."
  type        = bool
}

variable "endpoint" {
  description = "The SageMaker endpoint, see modules/sagemaker; null scores in process."
  type = object({
    image         = string
    models        = map(object({ artifact_url = string, artifact_sha256 = optional(string), shadow = optional(bool, false) }))
    instance_type = string
    instances     = object({ min = number, max = number })
  })
}
