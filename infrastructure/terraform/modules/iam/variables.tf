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

variable "cluster" {
  description = "Name of the EKS cluster whose pods may take the roles on."
  type        = string
}

variable "stream_arns" {
  description = "ARNs of the streams of transactions and labels."
  type        = object({ transactions = string, labels = string })
}

variable "table_arn" {
  description = "ARN of the table of alerts."
  type        = string
}

variable "archive_arn" {
  description = "ARN of the archive's bucket."
  type        = string
}

variable "checkpoints_arn" {
  description = "ARN of the checkpoints' bucket."
  type        = string
}

variable "endpoint" {
  description = "Name of the SageMaker endpoint."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of streams, table and buckets."
  type        = string
}
