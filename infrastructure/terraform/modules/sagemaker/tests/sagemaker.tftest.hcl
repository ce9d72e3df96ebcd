mock_provider "aws" {}

variables {
  name          = "fraud-test"
  account_id    = "111122223333"
  region        = "eu-central-1"
  image         = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/fraud-test/endpoint:1.0.0"
  bucket        = "fraud-test-archive"
  bucket_arn    = "arn:aws:s3:::fraud-test-archive"
  kms_key_arn   = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  instance_type = "ml.c7i.large"
  instances     = { min = 2, max = 4 }
  models = {
    main       = { artifact_url = "s3://fraud-test-archive/models/1/model.tar.gz" }
    challenger = { artifact_url = "s3://fraud-test-archive/models/2/model.tar.gz", shadow = true }
  }
}

run "a_shadow_gets_requests_and_no_autoscaling_of_its_own" {
  command = plan

  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.production_variants[0].variant_name == "main" && aws_sagemaker_endpoint_configuration.this.shadow_production_variants[0].variant_name == "challenger"
    error_message = "The main one answers, the challenger shadows."
  }
  assert {
    condition     = keys(aws_appautoscaling_target.this) == ["main"]
    error_message = "SageMaker scales a shadow with its production variant."
  }
  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.data_capture_config[0].enable_capture
    error_message = "What is asked and answered is captured."
  }
}

run "refuses_two_models_that_answer" {
  command = plan

  variables {
    models = { main = { artifact_url = "s3://b/a" }, b = { artifact_url = "s3://b/b" } }
  }

  expect_failures = [var.models]
}

run "refuses_an_image_that_may_change" {
  command = plan

  variables {
    image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/fraud-test/endpoint:latest"
  }

  expect_failures = [var.image]
}
