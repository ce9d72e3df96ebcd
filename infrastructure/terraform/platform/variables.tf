variable "name" {
  description = "Name of the platform in this environment; prefix of everything, so it must be free in S3."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "3 to 31 small letters, digits and dashes, a letter first: bucket names begin with it."
  }
}

variable "account_id" {
  description = "AWS account."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "Twelve digits."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "zones" {
  description = "Three availability zones of the region."
  type        = list(string)
}

variable "vpc_cidr" {
  description = "Addresses of the VPC; the chart's network.vpcCidr."
  type        = string
}

variable "nat" {
  description = "NAT gateways: `none`, `single` or `each-zone`."
  type        = string
}

variable "interface_endpoints" {
  description = "Interface endpoints: in a `single` zone or in `each-zone`."
  type        = string
  default     = "each-zone"
}

variable "shards" {
  description = "Shards of the stream of transactions; null is on-demand."
  type        = number
}

variable "stream_retention_hours" {
  description = "How long records stay on the streams: the longest that the job may be down without a loss."
  type        = number
}

variable "archive_retention_days" {
  description = "Days after which decisions, labels and dead letters leave the archive, as objects and in its tables."
  type        = number
}

variable "consumers" {
  description = "Enhanced fan-out consumers of both streams, such as fraud-job and fraud-decide-0."
  type        = list(string)
  default     = []
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes."
  type        = string
}

variable "public_access_cidrs" {
  description = "Who may reach the cluster's API from outside; empty for nobody."
  type        = list(string)
}

variable "admin_role_arns" {
  description = "Roles that administer the cluster, by a name for each."
  type        = map(string)
}

variable "node_groups" {
  description = "Node groups by pool, see modules/eks. Drivers are on demand: one that is taken away costs a restart from the checkpoint."
  type = map(object({
    instance_types = list(string)
    capacity       = string
    min            = number
    max            = number
    disk_gb        = number
  }))

  validation {
    condition     = try(var.node_groups["drivers"].capacity == "ON_DEMAND", false)
    error_message = "A pool `drivers` with capacity ON_DEMAND is needed."
  }
}

variable "auto_mode" {
  description = "EKS Auto Mode, see modules/eks."
  type        = bool
  default     = null
}

variable "endpoint" {
  description = "The SageMaker endpoint, see modules/sagemaker; null scores in process."
  type = object({
    image         = string
    models        = map(object({ artifact_url = string, artifact_sha256 = optional(string), shadow = optional(bool, false) }))
    instance_type = string
    instances     = object({ min = number, max = number })
  })
  default = null
}

variable "delivery" {
  description = "The GitHub repository whose workflows deliver, its environment, and the identity provider (output github_provider_arn of bootstrap); null for none."
  type        = object({ provider_arn = string, repository = string, environment = string })
  default     = null
}

variable "alarm_mail_addresses" {
  description = "Addresses that alarms are mailed to."
  type        = set(string)
  default     = []
}

variable "disposable" {
  description = "Whether everything may be destroyed with its data; for trials only."
  type        = bool
  default     = false
}
