variable "streams" {
  description = "Streams by name. `shards` null is on-demand, a number is provisioned; `consumers` are enhanced fan-out consumers."
  type = map(object({
    shards          = optional(number)
    retention_hours = optional(number, 24)
    consumers       = optional(list(string), [])
  }))

  validation {
    condition     = alltrue([for stream in values(var.streams) : stream.retention_hours >= 24 && stream.retention_hours <= 8760])
    error_message = "Kinesis keeps records from 24 hours to 8,760."
  }

  validation {
    condition     = alltrue([for stream in values(var.streams) : stream.shards == null ? true : stream.shards >= 1])
    error_message = "A provisioned stream has at least one shard."
  }
}

variable "kms_key_arn" {
  description = "Key that records are encrypted with."
  type        = string
}

variable "shard_level_metrics" {
  description = "Metrics of each shard; they cost by the shard."
  type        = list(string)
  default     = ["IteratorAgeMilliseconds", "WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded"]
}
