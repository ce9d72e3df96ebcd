variable "name" {
  description = "Name of the table of alerts."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that items are encrypted with."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted."
  type        = bool
  default     = true
}
