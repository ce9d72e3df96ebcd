# Alarms on what AWS itself measures. What only the job knows is alarmed by the chart's Prometheus rules.

resource "aws_sns_topic" "this" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_subscription" "mail" {
  for_each = var.mail_addresses

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = each.value
}

locals {
  streams = {
    for pair in setproduct(keys(var.streams), [
      { key = "behind", metric = "GetRecords.IteratorAgeMilliseconds", statistic = "Maximum", above = var.iterator_age_ms, runbook = "lag-grows" },
      { key = "reads-throttled", metric = "ReadProvisionedThroughputExceeded", statistic = "Sum", above = 100, runbook = "lag-grows" },
      { key = "writes-throttled", metric = "WriteProvisionedThroughputExceeded", statistic = "Sum", above = 100, runbook = "lag-grows" },
    ]) : "${pair[0]}-${pair[1].key}" => merge(pair[1], { namespace = "AWS/Kinesis", dimensions = { StreamName = pair[0] } })
  }
  # A provisioned stream does not grow by itself: the alarm comes at four fifths of what its shards take, before writes are refused.
  full = merge([
    for stream, shards in var.streams : {
      for each in [
        { key = "bytes", metric = "IncomingBytes", of_a_shard = 1048576 },
        { key = "records", metric = "IncomingRecords", of_a_shard = 1000 },
        ] : "${stream}-full-of-${each.key}" => merge(each, {
          namespace  = "AWS/Kinesis"
          statistic  = "Sum"
          above      = floor(0.8 * shards * each.of_a_shard * 60)
          runbook    = "lag-grows"
          dimensions = { StreamName = stream }
      })
    } if shards != null
  ]...)
  table = {
    "${var.table}-throttled" = {
      namespace  = "AWS/DynamoDB", metric = "WriteThrottleEvents", statistic = "Sum", above = 100, runbook = "lag-grows"
      dimensions = { TableName = var.table }
    }
  }
  endpoint = merge([
    for variant in var.variants : {
      for each in [
        { key = "errors", metric = "Invocation5XXErrors", statistic = "Sum", above = 10 },
        { key = "refusals", metric = "Invocation4XXErrors", statistic = "Sum", above = 10 },
        { key = "slow", metric = "ModelLatency", statistic = "p99", above = var.model_latency_us },
        ] : "${var.endpoint}-${variant}-${each.key}" => merge(each, {
          namespace  = "AWS/SageMaker"
          runbook    = "endpoint-down"
          dimensions = { EndpointName = var.endpoint, VariantName = variant }
      })
    }
  ]...)
  alarms = merge(local.streams, local.full, local.table, local.endpoint)
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = each.key # begins with the name of what it watches, which the platform's name begins
  alarm_description   = "See docs/runbooks/${each.value.runbook}.md"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}
