variable "name" {
  description = "Name of the platform; part of every name."
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

variable "cidr" {
  description = "Addresses of the VPC: three /19 and three /22 are cut from a /16."
  type        = string

  validation {
    condition     = can(cidrsubnet(var.cidr, 6, 58)) && tonumber(split("/", var.cidr)[1]) <= 20
    error_message = "Give an IPv4 range of at least a /20, such as 10.10.0.0/16."
  }
}

variable "zones" {
  description = "Three availability zones of the region."
  type        = list(string)

  validation {
    condition     = length(distinct(var.zones)) == 3
    error_message = "Three different zones are needed: the job's topology spreads over them."
  }
}

variable "nat" {
  description = "NAT gateways, for traffic that no endpoint takes: `none`, `single` (cheaper) or `each-zone` (survives the loss of a zone)."
  type        = string

  validation {
    condition     = contains(["none", "single", "each-zone"], var.nat)
    error_message = "One of none, single, each-zone."
  }
}

variable "interface_endpoints" {
  description = "Interface endpoints of AWS's services: in a `single` zone (cheaper; the others reach it, at the price of traffic between zones) or in `each-zone` (survives the loss of a zone)."
  type        = string
  default     = "each-zone"

  validation {
    condition     = contains(["single", "each-zone"], var.interface_endpoints)
    error_message = "One of single, each-zone."
  }
}

variable "kms_key_arn" {
  description = "Key of the flow logs."
  type        = string
}

variable "flow_log_days" {
  description = "Days that flow logs are kept."
  type        = number
  default     = 365
}
