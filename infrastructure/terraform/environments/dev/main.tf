# To try things out: small, on-demand, and gone with its data when destroyed.

module "platform" {
  source = "../../platform"

  name                   = "fraud-dev"
  account_id             = var.account_id
  region                 = var.region
  zones                  = var.zones
  vpc_cidr               = "10.20.0.0/16"
  nat                    = "single"
  interface_endpoints    = "single"
  shards                 = null
  stream_retention_hours = 24
  archive_retention_days = 30
  consumers              = var.consumers
  kubernetes_version     = "1.34"
  public_access_cidrs    = var.public_access_cidrs
  admin_role_arns        = var.admin_role_arns
  delivery               = var.delivery
  endpoint               = var.endpoint
  auto_mode              = var.auto_mode
  alarm_mail_addresses   = var.alarm_mail_addresses
  disposable             = true

  node_groups = {
    drivers   = { instance_types = ["m7i.large"], capacity = "ON_DEMAND", min = 1, max = 2, disk_gb = 50 }
    executors = { instance_types = ["m7i.xlarge", "m6i.xlarge"], capacity = "SPOT", min = 1, max = 3, disk_gb = 100 }
  }
}
