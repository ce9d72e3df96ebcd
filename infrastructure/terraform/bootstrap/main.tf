# Once in an account, by hand: where Terraform keeps the state of the environments, and whom GitHub's workflows act as.
# Its own state is small and stays where it is applied; keep the file, or move it to the bucket with a backend of its own.

resource "aws_kms_key" "state" {
  description         = "Terraform's state of the fraud platform"
  enable_key_rotation = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AccountAdministersAndDelegatesToRoles"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${var.account_id}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}

locals {
  bucket = "${var.account_id}-fraud-terraform-state"
}

module "state" {
  source = "../modules/buckets"

  buckets     = { (local.bucket) = { old_versions_days = 365 } }
  kms_key_arn = aws_kms_key.state.arn
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.repository == null ? 0 : 1

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  github = var.repository == null ? {} : {
    plan = {
      subjects = ["repo:${var.repository}:pull_request", "repo:${var.repository}:ref:refs/heads/main"]
      policy   = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    }
    # Makes and removes everything in the account, roles among it, so no smaller policy would bind it. What binds it is
    # who may take it on: workflows of these GitHub environments alone. Those that end in -destroy wait for an approval
    # of what a plan removes; prod waits for one in any case.
    apply = {
      subjects = [for name in ["dev", "dev-destroy", "prod", "prod-destroy"] : "repo:${var.repository}:environment:${name}"]
      policy   = "arn:aws:iam::aws:policy/AdministratorAccess"
    }
  }
}

resource "aws_iam_role" "github" {
  for_each = local.github

  name                 = "fraud-github-${each.key}"
  max_session_duration = 7200
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = aws_iam_openid_connect_provider.github[0].arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = each.value.subjects
        }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "github" {
  for_each = local.github

  role       = aws_iam_role.github[each.key].name
  policy_arn = each.value.policy
}

# Planning reads the state and, while it does, holds its lock. What is applied is the plan that it leaves there.
resource "aws_iam_role_policy" "plan" {
  count = var.repository == null ? 0 : 1

  name = "state"
  role = aws_iam_role.github["plan"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Lock"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:DeleteObject"]
        Resource = "${module.state.arns[local.bucket]}/fraud/*.tflock"
      },
      {
        Sid      = "LeaveThePlan"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${module.state.arns[local.bucket]}/plans/*"
      },
      {
        Sid      = "Key"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = aws_kms_key.state.arn
      },
    ]
  })
}
