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
    for pair in setproduct(var.streams, [
      { key = "behind", metric = "GetRecords.IteratorAgeMilliseconds", statistic = "Maximum", above = var.iterator_age_ms, runbook = "lag-grows" },
      { key = "reads-throttled", metric = "ReadProvisionedThroughputExceeded", statistic = "Sum", above = 100, runbook = "lag-grows" },
      { key = "writes-throttled", metric = "WriteProvisionedThroughputExceeded", statistic = "Sum", above = 100, runbook = "lag-grows" },
    ]) : "${pair[0]}-${pair[1].key}" => merge(pair[1], { namespace = "AWS/Kinesis", dimensions = { StreamName = pair[0] } })
  }
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
  alarms = merge(local.streams, local.table, local.endpoint)
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
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
