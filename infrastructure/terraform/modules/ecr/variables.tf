variable "name" {
  description = "Name of the platform; prefix of the repositories."
  type        = string
}

variable "repositories" {
  description = "Images that are kept."
  type        = set(string)
}

variable "kms_key_arn" {
  description = "Key that images are encrypted with."
  type        = string
}

variable "keep_images" {
  description = "Images kept of each repository: what a rollback can go back to."
  type        = number
  default     = 30
}

variable "force_delete" {
  description = "Whether a repository with images may be destroyed; for trials only."
  type        = bool
  default     = false
}
