variable "name" {
  description = "Name of the platform; prefix of the alarms."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the topic."
  type        = string
}

variable "mail_addresses" {
  description = "Addresses that alarms are mailed to; each must confirm."
  type        = set(string)
  default     = []
}

variable "streams" {
  description = "Shards of each stream by its name; null where it is on-demand and grows by itself."
  type        = map(number)
}

variable "table" {
  description = "Name of the table of alerts."
  type        = string
}

variable "endpoint" {
  description = "Name of the SageMaker endpoint."
  type        = string
}

variable "variants" {
  description = "Its variants; empty without an endpoint."
  type        = list(string)
}

variable "iterator_age_ms" {
  description = "How far behind a reader may be."
  type        = number
  default     = 60000
}

variable "model_latency_us" {
  description = "Latency of the model, 99th percentile, in microseconds as SageMaker counts."
  type        = number
  default     = 100000
}
