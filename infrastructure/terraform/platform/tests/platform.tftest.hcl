mock_provider "aws" {}

variables {
  name                   = "fraud-test"
  account_id             = "111122223333"
  region                 = "eu-central-1"
  zones                  = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  vpc_cidr               = "10.40.0.0/16"
  nat                    = "each-zone"
  shards                 = 8
  archive_retention_days = 90
  stream_retention_hours = 72
  kubernetes_version     = "1.34"
  public_access_cidrs    = []
  admin_role_arns        = { ops = "arn:aws:iam::111122223333:role/ops" }
  node_groups = {
    drivers   = { instance_types = ["m7g.large"], capacity = "ON_DEMAND", min = 1, max = 2, disk_gb = 50 }
    executors = { instance_types = ["m7g.2xlarge"], capacity = "SPOT", min = 1, max = 4, disk_gb = 100 }
  }
}

run "protects_what_it_keeps" {
  command = plan

  assert {
    condition     = module.tables.name == "fraud-test-alerts"
    error_message = "The table's name is what the settings say."
  }
  assert {
    condition     = output.settings.streams.transactions == "fraud-test-transactions" && output.settings.model.endpoint == null
    error_message = "Settings name the streams, and no endpoint where there is none."
  }
}

run "tells_before_a_provisioned_stream_is_full" {
  command = plan

  assert {
    condition     = contains(output.alarm_names, "fraud-test-transactions-full-of-records")
    error_message = "A stream with shards has an alarm on how full they are."
  }
}

run "an_on_demand_stream_grows_by_itself" {
  command = plan

  variables {
    shards    = null
    consumers = ["second-reader"]
  }

  assert {
    condition     = length([for name in output.alarm_names : name if strcontains(name, "full-of")]) == 0
    error_message = "There are no shards to fill."
  }
}

run "an_endpoint_is_named_in_the_settings_and_alarmed" {
  command = plan

  variables {
    endpoint = {
      image         = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/fraud-test/endpoint:1.0.0"
      models        = { main = { artifact_url = "s3://fraud-test-archive/models/1/model.tar.gz" }, challenger = { artifact_url = "s3://fraud-test-archive/models/2/model.tar.gz", shadow = true } }
      instance_type = "ml.c7i.large"
      instances     = { min = 2, max = 4 }
    }
  }

  assert {
    condition     = output.settings.model.endpoint == "fraud-test"
    error_message = "The settings name the endpoint."
  }
  assert {
    condition     = contains(output.alarm_names, "fraud-test-main-slow") && !contains(output.alarm_names, "fraud-test-challenger-slow")
    error_message = "The variant that answers is alarmed, the shadow is not."
  }
}

run "refuses_a_driver_pool_that_may_be_taken_away" {
  command = plan

  variables {
    node_groups = { drivers = { instance_types = ["m7g.large"], capacity = "SPOT", min = 1, max = 2, disk_gb = 50 } }
  }

  expect_failures = [var.node_groups]
}

run "refuses_a_name_that_is_no_bucket" {
  command = plan

  variables {
    name = "Fraud_Prod"
  }

  expect_failures = [var.name]
}

run "workflows_get_roles_where_a_repository_is_named" {
  command = plan

  variables {
    delivery = { provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com", repository = "acme/fraud", environment = "dev" }
  }

  assert {
    condition     = length(module.delivery) == 1
    error_message = "Release and models have their roles."
  }
}
