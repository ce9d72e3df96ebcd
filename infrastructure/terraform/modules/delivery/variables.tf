variable "name" {
  description = "Name of the platform; prefix of the roles."
  type        = string
}

variable "account_id" {
  description = "AWS account."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "github" {
  description = "Identity provider of GitHub (output github_provider_arn of bootstrap), the repository and its environment that may deliver."
  type        = object({ provider_arn = string, repository = string, environment = string })
}

variable "archive_arn" {
  description = "ARN of the archive's bucket, which holds the registry of models."
  type        = string
}

variable "endpoint" {
  description = "Name of the SageMaker endpoint."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of buckets and images."
  type        = string
}
