output "arns" {
  description = "ARN of each stream by its name."
  value       = { for name, stream in aws_kinesis_stream.this : name => stream.arn }
}

output "consumer_arns" {
  description = "ARN of each enhanced fan-out consumer, by stream and name."
  value       = { for name, consumer in aws_kinesis_stream_consumer.this : name => consumer.arn }
}
