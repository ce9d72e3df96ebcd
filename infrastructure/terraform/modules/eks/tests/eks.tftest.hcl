mock_provider "aws" {}

variables {
  name                = "fraud-test"
  kubernetes_version  = "1.34"
  subnet_ids          = ["subnet-1", "subnet-2", "subnet-3"]
  public_access_cidrs = []
  kms_key_arn         = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  admin_role_arns     = { ops = "arn:aws:iam::111122223333:role/ops" }
  namespace           = "fraud"
  workload_role_arns  = { fraud-job = "arn:aws:iam::111122223333:role/fraud-test-job" }
  node_groups         = { drivers = { instance_types = ["m7i.large"], capacity = "ON_DEMAND", min = 1, max = 2, disk_gb = 50 } }
}

run "the_cluster_is_private_encrypted_and_audited" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "Nobody from outside reaches the API unless named."
  }
  assert {
    condition     = contains(aws_eks_cluster.this.enabled_cluster_log_types, "audit") && contains(aws_eks_cluster.this.encryption_config[0].resources, "secrets")
    error_message = "Secrets are encrypted, calls are audited."
  }
  assert {
    condition     = contains(keys(aws_eks_addon.this), "eks-pod-identity-agent") && aws_eks_pod_identity_association.workload["fraud-job"].namespace == "fraud"
    error_message = "Pods get their roles from Pod Identity."
  }
  assert {
    condition     = length(aws_eks_cluster.this.compute_config) == 0 && !contains(keys(aws_eks_addon.this), "metrics-server")
    error_message = "Auto Mode is not there unless asked for."
  }
}

run "auto_mode_brings_nodes_volumes_and_load_balancers" {
  command = plan

  variables {
    auto_mode = true
  }

  assert {
    condition     = aws_eks_cluster.this.compute_config[0].enabled && aws_eks_cluster.this.storage_config[0].block_storage[0].enabled && aws_eks_cluster.this.kubernetes_network_config[0].elastic_load_balancing[0].enabled
    error_message = "EKS takes all three or none."
  }
  assert {
    condition     = toset(keys(aws_iam_role_policy_attachment.auto)) == toset(["BlockStorage", "Compute", "LoadBalancing", "Networking"]) && length(aws_iam_role.auto_node) == 1
    error_message = "The cluster may make nodes, volumes and load balancers, and its nodes have a role."
  }
  assert {
    condition     = contains(keys(aws_eks_addon.this), "metrics-server") && !aws_eks_cluster.this.bootstrap_self_managed_addons
    error_message = "metrics-server comes with it."
  }
}

run "auto_mode_can_be_switched_off" {
  command = plan

  variables {
    auto_mode = false
  }

  assert {
    condition     = !aws_eks_cluster.this.compute_config[0].enabled && length(aws_iam_role.auto_node) == 0
    error_message = "Switching it off is said; leaving the block out would not do it."
  }
}

run "refuses_everybody" {
  command = plan

  variables {
    public_access_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.public_access_cidrs]
}
