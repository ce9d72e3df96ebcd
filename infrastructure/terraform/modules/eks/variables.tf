variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes, such as 1.34; the chart is checked against it."
  type        = string

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "A minor version such as 1.34."
  }
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "public_access_cidrs" {
  description = "Who may reach the API from outside; empty keeps it inside the network."
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.public_access_cidrs, "0.0.0.0/0")
    error_message = "Name the networks; 0.0.0.0/0 is everybody."
  }
}

variable "kms_key_arn" {
  description = "Key of secrets and logs."
  type        = string
}

variable "log_days" {
  description = "Days that the control plane's logs are kept."
  type        = number
  default     = 365
}

variable "admin_role_arns" {
  description = "Roles that administer the cluster, by a name for each."
  type        = map(string)
}

variable "deployer_role_arns" {
  description = "Roles that install the chart, by a name for each; they may do anything in the workloads' namespace."
  type        = map(string)
  default     = {}
}

variable "node_groups" {
  description = "Node groups by pool; the pool is their label fraud/pool."
  type = map(object({
    instance_types = list(string)
    capacity       = string
    min            = number
    max            = number
    disk_gb        = number
  }))

  validation {
    condition     = alltrue([for group in values(var.node_groups) : contains(["ON_DEMAND", "SPOT"], group.capacity)])
    error_message = "capacity is ON_DEMAND or SPOT."
  }
}

variable "auto_mode" {
  description = "EKS Auto Mode beside the node groups, and metrics-server: Karpenter, volumes of EBS and load balancers, run by AWS. false switches off what was on; null leaves it out."
  type        = bool
  default     = null
}

variable "namespace" {
  description = "Namespace of the workloads."
  type        = string
}

variable "workload_role_arns" {
  description = "Role of each service account of the chart."
  type        = map(string)
}
