# A role for each workload, taken on through EKS Pod Identity. Policies are files, so that a test can hold them against
# the calls that the programs make (tests/unit/infrastructure).

locals {
  workloads = toset(["job", "producer", "console", "maintenance", "training", "decide", "events"])
  names = {
    transactions_arn = var.stream_arns.transactions
    labels_arn       = var.stream_arns.labels
    table_arn        = var.table_arn
    archive_arn      = var.archive_arn
    checkpoints_arn  = var.checkpoints_arn
    endpoint_arn     = "arn:aws:sagemaker:${var.region}:${var.account_id}:endpoint/${var.endpoint}"
    key_arn          = var.kms_key_arn
    # Receivers of events are made by whoever owns them; those whose names begin so may be sent to.
    topics_arn  = "arn:aws:sns:${var.region}:${var.account_id}:${var.name}-events*"
    queues_arn  = "arn:aws:sqs:${var.region}:${var.account_id}:${var.name}-events*"
    buses_arn   = "arn:aws:events:${var.region}:${var.account_id}:event-bus/${var.name}-events*"
    secrets_arn = "arn:aws:secretsmanager:${var.region}:${var.account_id}:secret:${var.name}-events*"
    # What the decision service encrypts the secrets of access keys with, made by whoever adds the first of them.
    decide_secrets_arn = "arn:aws:secretsmanager:${var.region}:${var.account_id}:secret:${var.name}-decide*"
  }
}

resource "aws_iam_role" "workload" {
  for_each = local.workloads

  name                 = "${var.name}-${each.key}"
  max_session_duration = 3600
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:SourceAccount"               = var.account_id
          "aws:RequestTag/eks-cluster-name" = var.cluster
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "workload" {
  for_each = local.workloads

  name   = "work"
  role   = aws_iam_role.workload[each.key].id
  policy = templatefile("${path.module}/policies/${each.key}.json", local.names)
}
