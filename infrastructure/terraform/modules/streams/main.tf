resource "aws_kinesis_stream" "this" {
  for_each = var.streams

  name             = each.key
  shard_count      = each.value.shards
  retention_period = each.value.retention_hours
  encryption_type  = "KMS"
  kms_key_id       = var.kms_key_arn

  shard_level_metrics = var.shard_level_metrics

  stream_mode_details {
    stream_mode = each.value.shards == null ? "ON_DEMAND" : "PROVISIONED"
  }
}

# Consumers with a throughput of their own, for readers by fan-out; programs register those that are missing under their names.
resource "aws_kinesis_stream_consumer" "this" {
  for_each = { for pair in flatten([
    for stream, settings in var.streams : [for consumer in settings.consumers : { stream = stream, name = consumer }]
  ]) : "${pair.stream}/${pair.name}" => pair }

  name       = each.value.name
  stream_arn = aws_kinesis_stream.this[each.value.stream].arn
}
