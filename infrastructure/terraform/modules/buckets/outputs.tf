output "arns" {
  description = "ARN of each bucket by its name."
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.arn }
}
