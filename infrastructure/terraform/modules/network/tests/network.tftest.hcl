mock_provider "aws" {}

variables {
  name        = "fraud-test"
  account_id  = "111122223333"
  region      = "eu-central-1"
  cidr        = "10.40.0.0/16"
  zones       = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  nat         = "none"
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
}

run "subnets_do_not_overlap_and_services_stay_inside" {
  command = plan

  assert {
    condition     = length(distinct(concat([for subnet in aws_subnet.private : subnet.cidr_block], [for subnet in aws_subnet.public : subnet.cidr_block]))) == 6
    error_message = "Six subnets with addresses of their own."
  }
  assert {
    condition     = length(setsubtract(["kinesis-streams", "sagemaker.runtime", "sts", "ecr.api", "ecr.dkr"], keys(aws_vpc_endpoint.interface))) == 0 && keys(aws_vpc_endpoint.gateway) == ["dynamodb", "s3"]
    error_message = "Traffic to the services of the data path stays inside."
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0
    error_message = "Without NAT nothing leads outside."
  }
}

run "a_gateway_for_each_zone_survives_the_loss_of_one" {
  command = plan

  variables {
    nat = "each-zone"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "One for each zone."
  }
}

run "endpoints_in_a_single_zone_cost_a_third" {
  command = plan

  variables {
    interface_endpoints = "single"
  }

  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : length(endpoint.subnet_ids) == 1])
    error_message = "One network interface for each service."
  }
}

run "refuses_two_zones" {
  command = plan

  variables {
    zones = ["eu-central-1a", "eu-central-1b"]
  }

  expect_failures = [var.zones]
}
