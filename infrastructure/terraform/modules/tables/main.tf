# The table of alerts as adapters/provision.py makes it for a laptop; a test compares the two.

locals {
  indexes = {
    by_status   = { hash = "status_shard", range = "decided_ms" }
    by_day      = { hash = "day_shard", range = "decided_ms" }
    by_card     = { hash = "card_token", range = "event_ms" }
    by_merchant = { hash = "merchant_id", range = "event_ms" }
  }
  attributes = merge(
    { alert_id = "S" },
    { for index in values(local.indexes) : index.hash => "S" },
    { for name in distinct([for index in values(local.indexes) : index.range]) : name => "N" },
  )
}

resource "aws_dynamodb_table" "alerts" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "alert_id"
  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = local.attributes
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = local.indexes
    content {
      name            = global_secondary_index.key
      hash_key        = global_secondary_index.value.hash
      range_key       = global_secondary_index.value.range
      projection_type = "ALL"
    }
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
