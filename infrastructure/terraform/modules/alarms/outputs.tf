output "topic_arn" {
  description = "Topic that alarms go to."
  value       = aws_sns_topic.this.arn
}

output "alarm_names" {
  description = "Names of the alarms, for the rollback of a model's deployment."
  value       = sort([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name])
}
