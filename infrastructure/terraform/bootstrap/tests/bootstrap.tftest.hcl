mock_provider "aws" {}

variables {
  account_id = "111122223333"
}

run "without_a_repository_there_is_only_the_state" {
  command = plan

  assert {
    condition     = output.state_bucket == "111122223333-fraud-terraform-state"
    error_message = "The bucket bears the account's number, so that its name is free."
  }
  assert {
    condition     = length(aws_iam_role.github) == 0
    error_message = "Nobody outside gets a role."
  }
}

run "only_approved_environments_of_the_repository_may_apply" {
  command = apply

  variables {
    repository = "acme/fraud"
  }

  assert {
    condition     = jsondecode(aws_iam_role.github["apply"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:acme/fraud:environment:dev", "repo:acme/fraud:environment:dev-destroy", "repo:acme/fraud:environment:prod", "repo:acme/fraud:environment:prod-destroy"]
    error_message = "A branch or a pull request must not apply."
  }
  assert {
    condition     = jsondecode(aws_iam_role.github["plan"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:acme/fraud:pull_request", "repo:acme/fraud:ref:refs/heads/main"]
    error_message = "A plan is for pull requests and for main."
  }
}
