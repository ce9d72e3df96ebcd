variable "name" {
  description = "Name of the endpoint; the setting model.endpoint."
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

variable "image" {
  description = "Address of the endpoint's image with its tag."
  type        = string

  validation {
    condition     = can(regex(":[^:/]+$", var.image)) && !endswith(var.image, ":latest")
    error_message = "Name the image with a tag that is not latest."
  }
}

variable "models" {
  description = "Artifacts by variant: `main` answers, as `fraud models deploy` names it; a shadow is sent the same requests and its answers go nowhere. `artifact_sha256`, as `fraud models fetch` prints it, lets the container load no other artifact."
  type = map(object({
    artifact_url    = string
    artifact_sha256 = optional(string)
    shadow          = optional(bool, false)
  }))

  validation {
    condition     = [for name, model in var.models : name if !model.shadow] == ["main"]
    error_message = "One model that is not a shadow, and its name is main."
  }
}

variable "bucket" {
  description = "Bucket of artifacts and captured data."
  type        = string
}

variable "bucket_arn" {
  description = "Its ARN."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of captured data and of the instances' disks."
  type        = string
}

variable "instance_type" {
  description = "Type of the endpoint's instances."
  type        = string

  validation {
    condition     = startswith(var.instance_type, "ml.")
    error_message = "SageMaker's types begin with ml."
  }
}

variable "instances" {
  description = "Least and most instances; two or more keep it up when a zone is lost."
  type        = object({ min = number, max = number })

  validation {
    condition     = var.instances.min >= 1 && var.instances.max >= var.instances.min
    error_message = "min is at least 1, max at least min."
  }
}

variable "invocations_per_instance" {
  description = "Calls a minute of an instance at which another is added, as the setting deployment.calls_per_instance; a call scores a batch."
  type        = number
  default     = 3000
}

variable "capture_percent" {
  description = "Share of calls whose input and output are captured."
  type        = number
  default     = 1

  validation {
    condition     = var.capture_percent >= 0 && var.capture_percent <= 100
    error_message = "A percentage."
  }
}
