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
}

run "refuses_everybody" {
  command = plan

  variables {
    public_access_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.public_access_cidrs]
}
