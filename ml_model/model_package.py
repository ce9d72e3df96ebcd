"""A version in SageMaker's model registry: a package in a group, which people approve there and pipelines deploy."""

from __future__ import annotations

from typing import Any, NamedTuple

from adapters.model.invocation import ARROW_STREAM
from fraud.errors import MisconfiguredError
from fraud.settings import Deployment
from ml_model.deploy import refusals_named
from ml_model.deployment_plan import Deployed, Request, container
from ml_model.description import Description
from ml_model.negotiation import CSV, JSON

_VERSION = "fraud_version"


class Package(NamedTuple):
    """A version as SageMaker holds it.

    Attributes:
        arn: of the package.
        created: whether it was not there before.
    """

    arn: str
    created: bool


def package_request(group: str, model: Deployed, description: Description, settings: Deployment) -> Request:
    """CreateModelPackage for a version, which awaits approval.

    Args:
        group: the package's.
        model: the version and where it lies.
        description: of the version.
        settings: the image.

    Raises:
        MisconfiguredError: no image is set.
    """
    if settings.image is None:
        raise MisconfiguredError("deployment.image", "is needed: the endpoint image in ECR; --image URI")
    return {
        "ModelPackageGroupName": group,
        "ModelPackageDescription": (
            f"{description.rows:,} transactions, {description.frauds:,} frauds, {description.trained_from[:10]} to "
            f"{description.trained_until[:10]}"
        ),
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [container(model, settings)],
            "SupportedContentTypes": [JSON, CSV, ARROW_STREAM],
            "SupportedResponseMIMETypes": [JSON, CSV, ARROW_STREAM],
        },
        "CustomerMetadataProperties": {
            _VERSION: model.version,
            "artifact_sha256": model.sha256,
            "definition_hash": description.definition_hash,
            "data_sha256": description.data_sha256 or "not noted",
            **{name: f"{value:.6g}" for name, value in description.metrics.items()},
        },
    }


def export(sagemaker: Any, request: Request) -> Package:
    """Creates the group and the package where they are not there; the same version again changes nothing.

    Args:
        sagemaker: client made by `adapters.aws.clients.aws_client`.
        request: see `package_request`.

    Raises:
        MisconfiguredError: SageMaker refuses a request.
        RetryableError: SageMaker is busy or cannot be reached.
    """
    group, version = request["ModelPackageGroupName"], request["CustomerMetadataProperties"][_VERSION]
    with refusals_named():
        groups = _all(sagemaker.list_model_package_groups, "ModelPackageGroupSummaryList", NameContains=group)
        if group not in {found["ModelPackageGroupName"] for found in groups}:
            sagemaker.create_model_package_group(ModelPackageGroupName=group)
        for found in _all(sagemaker.list_model_packages, "ModelPackageSummaryList", ModelPackageGroupName=group):
            package = sagemaker.describe_model_package(ModelPackageName=found["ModelPackageArn"])
            if package.get("CustomerMetadataProperties", {}).get(_VERSION) == version:
                return Package(package["ModelPackageArn"], created=False)
        return Package(sagemaker.create_model_package(**request)["ModelPackageArn"], created=True)


def _all(operation: Any, key: str, **asked: str) -> list[Request]:
    """All pages of a list."""
    found: list[Request] = []
    while True:
        page = operation(**asked)
        found += page[key]
        if "NextToken" not in page:
            return found
        asked["NextToken"] = page["NextToken"]
