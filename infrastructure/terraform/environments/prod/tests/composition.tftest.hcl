mock_provider "aws" {}

variables {
  account_id      = "111122223333"
  admin_role_arns = { ops = "arn:aws:iam::111122223333:role/ops" }
}

run "the_environment_plans" {
  command = plan

  assert {
    condition     = output.cluster == "fraud-prod" && output.settings.archive.bucket == "fraud-prod-archive"
    error_message = "Everything bears the environment's name."
  }
}
