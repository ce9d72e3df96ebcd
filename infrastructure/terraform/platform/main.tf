# The whole platform of one environment. Environments call this with their sizes and nothing else.

locals {
  transactions = "${var.name}-transactions"
  labels       = "${var.name}-labels"
  archive      = "${var.name}-archive"
  checkpoints  = "${var.name}-checkpoints"
  alerts       = "${var.name}-alerts"
  streams = {
    (local.transactions) = {
      shards          = var.shards
      retention_hours = var.stream_retention_hours
      consumers       = var.consumers
    }
    (local.labels) = {
      shards          = var.shards == null ? null : 1
      retention_hours = var.stream_retention_hours
      consumers       = var.consumers
    }
  }
  service_accounts = {
    for workload, role in module.iam.role_arns : "fraud-${workload}" => role
  }
}

module "kms" {
  source = "../modules/kms"

  name       = var.name
  account_id = var.account_id
  region     = var.region
}

module "network" {
  source = "../modules/network"

  name                = var.name
  account_id          = var.account_id
  region              = var.region
  cidr                = var.vpc_cidr
  zones               = var.zones
  nat                 = var.nat
  interface_endpoints = var.interface_endpoints
  kms_key_arn         = module.kms.key_arn
}

module "streams" {
  source = "../modules/streams"

  kms_key_arn = module.kms.key_arn
  streams     = local.streams
}

module "tables" {
  source = "../modules/tables"

  name                = local.alerts
  kms_key_arn         = module.kms.key_arn
  deletion_protection = !var.disposable
}

module "buckets" {
  source = "../modules/buckets"

  kms_key_arn   = module.kms.key_arn
  force_destroy = var.disposable
  buckets = {
    # `fraud maintain` folds these into tables, which it keeps as long; all else in the archive is small or has no age.
    (local.archive) = {
      expire_days = {
        "capture/"      = 30
        "decisions/"    = var.archive_retention_days
        "labels/"       = var.archive_retention_days
        "dead-letters/" = var.archive_retention_days
      }
    }
    (local.checkpoints) = { old_versions_days = 2 }
  }
}

module "ecr" {
  source = "../modules/ecr"

  name         = var.name
  repositories = ["job", "producer", "console", "endpoint"]
  kms_key_arn  = module.kms.key_arn
  force_delete = var.disposable
}

module "iam" {
  source = "../modules/iam"

  name            = var.name
  account_id      = var.account_id
  region          = var.region
  cluster         = var.name
  endpoint        = var.name
  table_arn       = module.tables.arn
  archive_arn     = module.buckets.arns[local.archive]
  checkpoints_arn = module.buckets.arns[local.checkpoints]
  kms_key_arn     = module.kms.key_arn
  stream_arns = {
    transactions = module.streams.arns[local.transactions]
    labels       = module.streams.arns[local.labels]
  }
}

module "eks" {
  source = "../modules/eks"

  name                = var.name
  kubernetes_version  = var.kubernetes_version
  subnet_ids          = module.network.private_subnet_ids
  public_access_cidrs = var.public_access_cidrs
  kms_key_arn         = module.kms.key_arn
  admin_role_arns     = var.admin_role_arns
  node_groups         = var.node_groups
  auto_mode           = var.auto_mode
  namespace           = "fraud"
  workload_role_arns  = local.service_accounts
  deployer_role_arns  = var.delivery == null ? {} : { release = module.delivery[0].role_arns.release }
}

module "delivery" {
  source = "../modules/delivery"
  count  = var.delivery == null ? 0 : 1

  name        = var.name
  account_id  = var.account_id
  region      = var.region
  github      = var.delivery
  archive_arn = module.buckets.arns[local.archive]
  endpoint    = var.name
  kms_key_arn = module.kms.key_arn
}

# Without a model there is no endpoint: the job then scores in process, which is the default.
module "sagemaker" {
  source = "../modules/sagemaker"
  count  = var.endpoint == null ? 0 : 1

  name          = var.name
  account_id    = var.account_id
  region        = var.region
  image         = var.endpoint.image
  models        = var.endpoint.models
  instance_type = var.endpoint.instance_type
  instances     = var.endpoint.instances
  bucket        = local.archive
  bucket_arn    = module.buckets.arns[local.archive]
  kms_key_arn   = module.kms.key_arn
}

module "alarms" {
  source = "../modules/alarms"

  name           = var.name
  kms_key_arn    = module.kms.key_arn
  mail_addresses = var.alarm_mail_addresses
  streams        = { for name, stream in local.streams : name => stream.shards }
  table          = module.tables.name
  endpoint       = var.name
  variants       = var.endpoint == null ? [] : module.sagemaker[0].variants
}
