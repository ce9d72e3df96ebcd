variable "account_id" {
  description = "AWS account; applying to another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "Twelve digits."
  }
}

variable "region" {
  description = "AWS region of the state."
  type        = string
  default     = "eu-central-1"
}

variable "repository" {
  description = "GitHub repository whose workflows may take the roles on, as OWNER/NAME; null makes no roles."
  type        = string
  default     = null

  validation {
    condition     = var.repository == null ? true : can(regex("^[\\w.-]+/[\\w.-]+$", var.repository))
    error_message = "OWNER/NAME."
  }
}
