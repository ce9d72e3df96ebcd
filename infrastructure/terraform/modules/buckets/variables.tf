variable "buckets" {
  description = "Buckets by name. `expire_days`: days until objects below a prefix expire; `old_versions_days`: until replaced versions do."
  type = map(object({
    expire_days       = optional(map(number), {})
    old_versions_days = optional(number, 30)
  }))
}

variable "kms_key_arn" {
  description = "Key that objects are encrypted with."
  type        = string
}

variable "force_destroy" {
  description = "Whether a bucket with objects in it may be destroyed; for trials only."
  type        = bool
  default     = false
}
