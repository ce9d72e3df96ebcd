"""What an endpoint on SageMaker shall look like, as the requests that bring it about.

Model and endpoint configuration cannot be changed once they exist, so their names follow from their content: the same
plan finds them there, another plan makes others beside them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from fraud.errors import MisconfiguredError
from fraud.settings import Deployment

VARIANT = "main"
_LONGEST_NAME = 63
_DIGEST = 10

Request = dict[str, Any]


@dataclass(frozen=True)
class DeploymentPlan:
    """The requests of one deployment, each as boto3 takes it.

    Attributes:
        endpoint: its name.
        model: CreateModel.
        config: CreateEndpointConfig.
        update: UpdateEndpoint.
        target: RegisterScalableTarget; None turns scaling off.
        policy: PutScalingPolicy.
        scaled: names the variant that is scaled.
        timeout_s: how long an update may take.
    """

    endpoint: str
    model: Request
    config: Request
    update: Request
    target: Request | None
    policy: Request
    scaled: Request
    timeout_s: int


class Deployed(NamedTuple):
    """The model to deploy.

    Attributes:
        version: of it.
        url: of its `model.tar.gz` on S3.
        sha256: of the artifact inside, see `ml_model.artifact.artifact_sha256`; the container loads no other.
    """

    version: str
    url: str
    sha256: str


def plan_deployment(endpoint: str | None, model: Deployed, settings: Deployment) -> DeploymentPlan:
    """The plan for a model version.

    Args:
        endpoint: its name (`model.endpoint`).
        model: the version.
        settings: everything else.

    Raises:
        MisconfiguredError: a setting is missing or does not fit.
    """
    if not endpoint:
        raise MisconfiguredError("model.endpoint", "names the endpoint to deploy to; --endpoint NAME")
    if len(endpoint) + len(model.version) + _DIGEST + 2 > _LONGEST_NAME:
        raise MisconfiguredError("model.endpoint", f"{endpoint} is too long to name its models after")
    if settings.image is None:
        raise MisconfiguredError("deployment.image", "is needed: the endpoint image in ECR; --image URI")
    if settings.role is None:
        raise MisconfiguredError("deployment.role", "is needed: what the endpoint runs as; --role ARN")
    if bool(settings.subnets) != bool(settings.security_groups):
        raise MisconfiguredError("deployment.subnets, deployment.security_groups", "give both or neither")
    if 2 * settings.bake_s >= settings.timeout_s:
        raise MisconfiguredError(
            "deployment.timeout_s", f"must leave room for twice deployment.bake_s={settings.bake_s}"
        )
    created = _named(endpoint, model.version, "ModelName", _model(model, settings))
    config = _named(endpoint, model.version, "EndpointConfigName", _config(created["ModelName"], settings))
    scaled = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    capacity = {"MinCapacity": settings.instances, "MaxCapacity": settings.max_instances}
    scales = settings.max_instances > settings.instances
    update = {
        "EndpointName": endpoint,
        "EndpointConfigName": config["EndpointConfigName"],
        # The number of instances that scaling arrived at survives an update.
        "RetainAllVariantProperties": scales,
        "DeploymentConfig": _blue_green(settings),
    }
    policy = {
        **scaled,
        "PolicyName": f"{endpoint}-calls",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": settings.calls_per_instance,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        },
    }
    target = {**scaled, **capacity} if scales else None
    return DeploymentPlan(endpoint, created, config, update, target, policy, scaled, settings.timeout_s)


def container(model: Deployed, settings: Deployment) -> Request:
    """What serves a version: image, artifact, and the digest of the only artifact that it loads."""
    return {
        "Image": settings.image,
        "ModelDataUrl": model.url,
        # Not from the bucket: who may write there could change both.
        "Environment": {"FRAUD_MODEL__ARTIFACT_SHA256": model.sha256},
    }


def _model(model: Deployed, settings: Deployment) -> Request:
    request: Request = {
        "ExecutionRoleArn": settings.role,
        "PrimaryContainer": container(model, settings),
    }
    if settings.subnets:
        request["VpcConfig"] = {
            "Subnets": list(settings.subnets),
            "SecurityGroupIds": list(settings.security_groups),
        }
    return request


def _config(model_name: str, settings: Deployment) -> Request:
    variant = {
        "VariantName": VARIANT,
        "ModelName": model_name,
        "InstanceType": settings.instance_type,
        "InitialInstanceCount": settings.instances,
        "InitialVariantWeight": 1.0,
    }
    request: Request = {"ProductionVariants": [variant]}
    if settings.capture_url is not None:
        request["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": settings.capture_percent,
            "DestinationS3Uri": settings.capture_url,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
        }
        if settings.kms_key is not None:
            request["DataCaptureConfig"]["KmsKeyId"] = settings.kms_key
    if settings.kms_key is not None:
        request["KmsKeyId"] = settings.kms_key
    return request


def _blue_green(settings: Deployment) -> Request:
    routing: Request = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": settings.bake_s}
    if settings.instances > 1:
        routing |= {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": settings.canary_percent},
        }
    request: Request = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": settings.bake_s,
            "MaximumExecutionTimeoutInSeconds": settings.timeout_s,
        }
    }
    if settings.alarms:
        request["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in settings.alarms]}
    return request


def _named(endpoint: str, version: str, key: str, request: Request) -> Request:
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:_DIGEST]
    return {key: f"{endpoint}-{version}-{digest}", **request}
