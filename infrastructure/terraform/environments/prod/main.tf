# 2,000 transactions a second with room for twice that; docs/sizing-aws.md shows the arithmetic.

module "platform" {
  source = "../../platform"

  name                   = "fraud-prod"
  account_id             = var.account_id
  region                 = var.region
  zones                  = var.zones
  vpc_cidr               = "10.30.0.0/16"
  nat                    = "each-zone"
  shards                 = 8
  stream_retention_hours = 168
  archive_retention_days = 730
  consumers              = var.consumers
  kubernetes_version     = "1.34"
  public_access_cidrs    = var.public_access_cidrs
  admin_role_arns        = var.admin_role_arns
  delivery               = var.delivery
  endpoint               = var.endpoint
  auto_mode              = var.auto_mode
  alarm_mail_addresses   = var.alarm_mail_addresses

  node_groups = {
    drivers   = { instance_types = ["m7i.xlarge"], capacity = "ON_DEMAND", min = 2, max = 3, disk_gb = 50 }
    executors = { instance_types = ["m7i.2xlarge"], capacity = "ON_DEMAND", min = 2, max = 8, disk_gb = 200 }
  }
}
