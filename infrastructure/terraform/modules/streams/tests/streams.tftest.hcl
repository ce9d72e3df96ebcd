mock_provider "aws" {}

variables {
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
}

run "shards_that_are_not_given_are_on_demand" {
  command = plan

  variables {
    streams = { a = {}, b = { shards = 4, retention_hours = 168, consumers = ["second"] } }
  }

  assert {
    condition     = aws_kinesis_stream.this["a"].stream_mode_details[0].stream_mode == "ON_DEMAND"
    error_message = "Without shards a stream is on-demand."
  }
  assert {
    condition     = aws_kinesis_stream.this["b"].stream_mode_details[0].stream_mode == "PROVISIONED" && aws_kinesis_stream.this["b"].shard_count == 4
    error_message = "With shards it is provisioned."
  }
  assert {
    condition     = alltrue([for stream in aws_kinesis_stream.this : stream.encryption_type == "KMS"])
    error_message = "Every stream is encrypted."
  }
  assert {
    condition     = keys(aws_kinesis_stream_consumer.this) == ["b/second"]
    error_message = "The fan-out consumer belongs to its stream."
  }
}

run "refuses_a_stream_without_a_shard" {
  command = plan

  variables {
    streams = { a = { shards = 0 } }
  }

  expect_failures = [var.streams]
}

run "refuses_a_retention_that_kinesis_does_not_have" {
  command = plan

  variables {
    streams = { a = { retention_hours = 12 } }
  }

  expect_failures = [var.streams]
}
