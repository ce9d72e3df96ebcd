# Whom the workflows that deliver act as: one role for images and chart, one for models. Both are taken on with GitHub's
# own identity, from one environment of one repository; no key is stored anywhere. Policies are files, as the workloads'.

locals {
  roles = toset(["release", "models"])
  names = {
    repositories_arn = "arn:aws:ecr:${var.region}:${var.account_id}:repository/${var.name}/*"
    cluster_arn      = "arn:aws:eks:${var.region}:${var.account_id}:cluster/${var.name}"
    archive_arn      = var.archive_arn
    sagemaker_arn    = "arn:aws:sagemaker:${var.region}:${var.account_id}"
    scaling_arn      = "arn:aws:application-autoscaling:${var.region}:${var.account_id}:scalable-target/*"
    endpoint         = var.endpoint
    model_role_arn   = "arn:aws:iam::${var.account_id}:role/${var.name}-model"
    scaling_role_arn = "arn:aws:iam::${var.account_id}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*"
    key_arn          = var.kms_key_arn
  }
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  name                 = "${var.name}-github-${each.key}"
  max_session_duration = 7200
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = var.github.provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = "repo:${var.github.repository}:environment:${var.github.environment}"
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = local.roles

  name   = "deliver"
  role   = aws_iam_role.this[each.key].id
  policy = templatefile("${path.module}/policies/${each.key}.json", local.names)
}
