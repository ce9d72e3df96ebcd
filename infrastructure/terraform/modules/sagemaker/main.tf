# The endpoint's first model. Later versions are deployed with `fraud models deploy`, so their names are left alone here.

resource "aws_iam_role" "model" {
  name = "${var.name}-model"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "sagemaker.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "model" {
  name = "serve"
  role = aws_iam_role.model.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Artifacts"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "${var.bucket_arn}/models/*"
      },
      {
        Sid      = "Capture"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${var.bucket_arn}/capture/*"
      },
      {
        Sid      = "Key"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = var.kms_key_arn
      },
      {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
        Resource = "arn:aws:ecr:${var.region}:${var.account_id}:repository/${var.name}/endpoint"
      },
      {
        Sid      = "AlarmsThatTakeAnUpdateBack"
        Effect   = "Allow"
        Action   = "cloudwatch:DescribeAlarms"
        Resource = "arn:aws:cloudwatch:${var.region}:${var.account_id}:alarm:${var.name}-*"
      },
      {
        Sid      = "ImageLogin" # has no resource
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        Resource = "arn:aws:logs:${var.region}:${var.account_id}:log-group:/aws/sagemaker/Endpoints/${var.name}*"
      },
      {
        Sid       = "Metrics" # has no resource
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*"
        Condition = { StringEquals = { "cloudwatch:namespace" = "/aws/sagemaker/Endpoints" } }
      },
    ]
  })
}

resource "aws_sagemaker_model" "this" {
  for_each = var.models

  name                     = "${var.name}-${each.key}"
  execution_role_arn       = aws_iam_role.model.arn
  enable_network_isolation = true

  primary_container {
    image          = var.image
    model_data_url = each.value.artifact_url

    # Not from the bucket: who may write there could change both.
    environment = { for name, value in { FRAUD_MODEL__ARTIFACT_SHA256 = each.value.artifact_sha256 } : name => value if value != null }
  }
}

locals {
  live   = { for name, model in var.models : name => model if !model.shadow }
  shadow = { for name, model in var.models : name => model if model.shadow }
}

resource "aws_sagemaker_endpoint_configuration" "this" {
  name_prefix = "${var.name}-"
  kms_key_arn = var.kms_key_arn

  dynamic "production_variants" {
    for_each = local.live
    content {
      variant_name           = production_variants.key
      model_name             = aws_sagemaker_model.this[production_variants.key].name
      instance_type          = var.instance_type
      initial_instance_count = var.instances.min
      initial_variant_weight = 1
    }
  }

  dynamic "shadow_production_variants" {
    for_each = local.shadow
    content {
      variant_name           = shadow_production_variants.key
      model_name             = aws_sagemaker_model.this[shadow_production_variants.key].name
      instance_type          = var.instance_type
      initial_instance_count = var.instances.min
      initial_variant_weight = 1
    }
  }

  data_capture_config {
    enable_capture              = true
    initial_sampling_percentage = var.capture_percent
    destination_s3_uri          = "s3://${var.bucket}/capture"
    kms_key_id                  = var.kms_key_arn

    capture_options {
      capture_mode = "Input"
    }
    capture_options {
      capture_mode = "Output"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint" "this" {
  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this.name

  lifecycle {
    ignore_changes = [endpoint_config_name] # `fraud models deploy` moves it, with a way back
  }
}

resource "aws_appautoscaling_target" "this" {
  for_each = local.live

  service_namespace  = "sagemaker"
  scalable_dimension = "sagemaker:variant:DesiredInstanceCount"
  resource_id        = "endpoint/${aws_sagemaker_endpoint.this.name}/variant/${each.key}"
  min_capacity       = var.instances.min
  max_capacity       = var.instances.max
}

resource "aws_appautoscaling_policy" "this" {
  for_each = local.live

  name               = "${var.name}-calls" # as `fraud models deploy` names it: two of a kind are refused
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this[each.key].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[each.key].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[each.key].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.invocations_per_instance
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "SageMakerVariantInvocationsPerInstance"
    }
  }
}
