"""An endpoint is deployed against SageMaker's control plane (moto), and updated against a double of UpdateEndpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest
from moto import mock_aws
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from adapters.aws.errors import ServiceClient
from cli.main import build_app
from fraud.errors import FatalError, MisconfiguredError, RetryableError
from fraud.settings import Deployment
from ml_model.artifact import TREES, artifact_sha256, load_artifact, save_artifact, version_of
from ml_model.deploy import Deployer
from ml_model.deployment_plan import Deployed, DeploymentPlan, plan_deployment
from tests.support.update_endpoint_double import UpdateEndpointDouble

SHIPPED = Path(__file__).parents[2] / "config" / "model" / "champion"
REGION: Literal["eu-central-1"] = "eu-central-1"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/fraud-endpoint:v1"
ROLE = "arn:aws:iam::123456789012:role/fraud-endpoint"
SETTINGS = {
    "image": IMAGE,
    "role": ROLE,
    "instance_type": "ml.c5.xlarge",  # of the few that moto knows
    "capture_url": "s3://fraud-archive/captured",
    "alarms": ("fraud-endpoint-errors",),
}


SHA256 = "5f" * 32


def plan(version: str = "v1", **settings: Any) -> DeploymentPlan:
    model = Deployed(version, f"s3://models/{version}/model.tar.gz", SHA256)
    return plan_deployment("fraud", model, Deployment.model_validate(SETTINGS | settings))


class Cloud:
    """SageMaker and scaling, with a deployer whose clock moves only when it waits."""

    def __init__(self) -> None:
        options = {"region_name": REGION, "aws_access_key_id": "local", "aws_secret_access_key": "local"}
        self.sagemaker = boto3.client("sagemaker", **options)  # type: ignore[call-overload]
        self.autoscaling = boto3.client("application-autoscaling", **options)  # type: ignore[call-overload]
        self.lines: list[str] = []
        self.seconds = 0.0
        self.deployer = Deployer(*self._clients(), self.lines.append, self._sleep, lambda: self.seconds)

    def _clients(self) -> tuple[ServiceClient, ServiceClient]:
        return ServiceClient("sagemaker", self.sagemaker), ServiceClient("application-autoscaling", self.autoscaling)

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def everything(self) -> list[Any]:
        """All that a deployment makes, as the services describe it."""
        models = self.sagemaker.list_models()["Models"]
        configs = self.sagemaker.list_endpoint_configs()["EndpointConfigs"]
        endpoints = self.sagemaker.list_endpoints()["Endpoints"]
        targets = self.autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        policies = self.autoscaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
        return [models, configs, endpoints, targets, policies]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        yield Cloud()


def test_a_first_deployment_makes_all_that_the_plan_says(cloud: Cloud) -> None:
    wanted = plan()
    changed = cloud.deployer.deploy(wanted)

    assert [change.split()[:2] for change in changed] == [
        ["create", "model"],
        ["create", "endpoint"],
        ["create", "endpoint"],
        ["scale", "between"],
        ["scale", "to"],
    ]
    endpoint = cloud.sagemaker.describe_endpoint(EndpointName="fraud")
    config = cloud.sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    (variant,) = config["ProductionVariants"]
    model = cloud.sagemaker.describe_model(ModelName=variant["ModelName"])
    assert variant["InitialInstanceCount"] == 2
    assert config["DataCaptureConfig"]["DestinationS3Uri"] == "s3://fraud-archive/captured"
    assert config["DataCaptureConfig"]["InitialSamplingPercentage"] == 5
    assert model["PrimaryContainer"]["Image"] == IMAGE
    assert model["PrimaryContainer"]["ModelDataUrl"] == "s3://models/v1/model.tar.gz"
    assert model["PrimaryContainer"]["Environment"] == {"FRAUD_MODEL__ARTIFACT_SHA256": SHA256}
    assert model["ExecutionRoleArn"] == ROLE
    (target,) = cloud.autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 4)
    assert target["ResourceId"] == "endpoint/fraud/variant/main"


def test_a_second_deployment_changes_nothing(cloud: Cloud) -> None:
    cloud.deployer.deploy(plan())
    before = cloud.everything()
    assert cloud.deployer.due(plan()) == []
    assert cloud.deployer.deploy(plan()) == []
    assert cloud.everything() == before


def test_what_is_due_is_reported_without_being_done(cloud: Cloud) -> None:
    assert len(cloud.deployer.due(plan())) == 5
    assert cloud.everything() == [[], [], [], [], []]


def test_an_interrupted_deployment_goes_on(cloud: Cloud) -> None:
    cloud.sagemaker.create_model(**plan().model)
    changed = cloud.deployer.deploy(plan())
    assert not any(change.startswith("create model") for change in changed)
    assert cloud.deployer.due(plan()) == []


def test_other_bounds_of_scaling_touch_the_scaling_only(cloud: Cloud) -> None:
    cloud.deployer.deploy(plan())
    assert cloud.deployer.deploy(plan(max_instances=9)) == ["scale between 2 and 9 instances"]
    assert cloud.deployer.deploy(plan(max_instances=9, calls_per_instance=100)) == [
        "scale to 100 calls an instance and minute"
    ]
    assert cloud.deployer.deploy(plan(max_instances=2)) == ["turn scaling off"]
    assert cloud.deployer.deploy(plan(max_instances=2)) == []


def test_a_new_version_is_shifted_to_by_canary_and_watched(cloud: Cloud) -> None:
    cloud.deployer.deploy(plan())
    double = UpdateEndpointDouble(cloud.sagemaker, "update-succeeds")
    cloud.lines.clear()

    changed = cloud.deployer.deploy(plan("v2"))

    (request,) = double.requests
    assert request["EndpointConfigName"].startswith("fraud-v2-")
    assert request["RetainAllVariantProperties"] is True
    deployment = request["DeploymentConfig"]
    assert deployment["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "fraud-endpoint-errors"}]}
    routing = deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (routing["Type"], routing["CanarySize"]) == ("CANARY", {"Type": "CAPACITY_PERCENT", "Value": 20})
    assert [change.split()[0] for change in changed] == ["create", "create", "update"]
    stages = [line.split(" s  ")[1] for line in cloud.lines if " s  " in line]
    assert stages == [
        "InService",
        "Updating, Creating",
        "Updating, ActivatingTraffic",
        "Updating, Baking",
        "InService",
    ]
    assert cloud.deployer.deploy(plan("v2")) == []
    assert len(double.requests) == 1


def test_an_update_that_an_alarm_took_back_says_so(cloud: Cloud) -> None:
    cloud.deployer.deploy(plan())
    double = UpdateEndpointDouble(cloud.sagemaker, "update-rolled-back")
    with pytest.raises(
        FatalError, match=r"rolled back the update of fraud; fraud-v1-\w+ keeps serving\. .*alarm.* breached"
    ):
        cloud.deployer.deploy(plan("v2"))
    assert len(double.requests) == 1
    # The earlier version is what serves: to deploy it again changes nothing.
    assert cloud.deployer.deploy(plan("v1")) == []
    assert len(double.requests) == 1


def test_an_update_that_does_not_end_is_given_up_and_waited_for_again(cloud: Cloud) -> None:
    cloud.deployer.deploy(plan())
    double = UpdateEndpointDouble(cloud.sagemaker, "update-succeeds")
    last = double.course.pop()
    with pytest.raises(RetryableError, match=r"after 3600 s .* the same command continues to wait"):
        cloud.deployer.deploy(plan("v2"))
    double.course.append(last)
    cloud.deployer.deploy(plan("v2"))
    assert len(double.requests) == 1


def test_an_endpoint_beyond_repair_is_not_touched(cloud: Cloud) -> None:
    cloud.deployer.deploy(plan())
    double = UpdateEndpointDouble(cloud.sagemaker, "update-rolled-back")
    double.course[-1] |= {"EndpointStatus": "UpdateRollbackFailed", "FailureReason": "no capacity"}
    for _ in range(2):
        with pytest.raises(FatalError, match="endpoint fraud is UpdateRollbackFailed: no capacity; delete it"):
            cloud.deployer.deploy(plan("v2"))
    assert len(double.requests) == 1


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (
            "AccessDeniedException",
            MisconfiguredError,
            "deployment: sagemaker DescribeModel: AccessDeniedException: not you",
        ),
        ("ThrottlingException", RetryableError, "sagemaker DescribeModel: ThrottlingException: not you"),
    ],
)
@pytest.mark.parametrize("method", ["due", "deploy"])
def test_errors_say_what_to_do(
    cloud: Cloud, method: str, code: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: str) -> None:
        raise cloud.sagemaker.exceptions.ClientError({"Error": {"Code": code, "Message": "not you"}}, "DescribeModel")

    monkeypatch.setattr(cloud.sagemaker, "describe_model", refuse)
    with pytest.raises(error, match=message):
        getattr(cloud.deployer, method)(plan())


def test_one_instance_takes_all_traffic_at_once_and_keeps_its_number() -> None:
    update = plan(instances=1, max_instances=1).update
    routing = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}
    assert update["RetainAllVariantProperties"] is False


def test_names_follow_from_the_content() -> None:
    assert plan().config == plan().config
    assert plan().model == plan(instance_type="ml.m5.large").model
    assert plan().config["EndpointConfigName"] != plan(instance_type="ml.m5.large").config["EndpointConfigName"]
    assert plan().model["ModelName"] != plan(image="other").model["ModelName"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image": None}, r"deployment\.image: is needed"),
        ({"role": None}, r"deployment\.role: is needed"),
        ({"subnets": ("subnet-1",)}, r"deployment\.subnets, deployment\.security_groups: give both or neither"),
        (
            {"bake_s": 600, "timeout_s": 1_200},
            r"timeout_s: must leave room for twice deployment\.bake_s=600",
        ),
    ],
)
def test_a_setting_that_does_not_fit_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MisconfiguredError, match=message):
        plan(**settings)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer("127.0.0.1", port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


def models(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(build_app(), ["models", *arguments, "--set", "log.level=error"])
    if isinstance(result.exception, MisconfiguredError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_a_registered_version_is_deployed_by_command(server: str, tmp_path: Path) -> None:
    boto3.client(
        "s3", endpoint_url=server, region_name=REGION, aws_access_key_id="local", aws_secret_access_key="local"
    ).create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION})
    where = ["--set", f"aws.endpoint_url={server}", "--set", "model.registry=s3://models/registry"]
    version = models("register", "config/model/champion", *where).split()[0]
    models("promote", version, *where)
    flags = [
        "--endpoint",
        "fraud",
        "--image",
        IMAGE,
        "--role",
        ROLE,
        "--set",
        "deployment.instance_type=ml.c5.xlarge",
        *where,
    ]

    assert models("deploy", "champion", *flags, "--dry-run").startswith("would create model fraud-" + version)
    file = tmp_path / "deployed.json"
    output = models("deploy", "champion", *flags, "--json", str(file))
    again = models("deploy", version, *flags)

    assert output.splitlines()[-1] == f"fraud serves {version}"
    assert len(json.loads(file.read_text())["changes"]) == 5
    assert again.splitlines()[-1] == f"fraud serves {version}; nothing to change"


def test_a_version_is_one_package_of_sagemakers_registry_that_awaits_approval(server: str, tmp_path: Path) -> None:
    options = {"endpoint_url": server, "region_name": REGION, "aws_access_key_id": "a", "aws_secret_access_key": "a"}
    bucket = {"Bucket": "exported", "CreateBucketConfiguration": {"LocationConstraint": REGION}}
    boto3.client("s3", **options).create_bucket(**bucket)  # type: ignore[call-overload]
    where = ["--set", f"aws.endpoint_url={server}", "--set", "model.registry=s3://exported/registry"]
    trees, description = (SHIPPED / TREES).read_bytes(), load_artifact(SHIPPED)[1]
    calibration = description.calibration.model_copy(update={"intercept": 0.5})
    other = description.model_copy(update={"version": version_of(trees, calibration), "calibration": calibration})
    save_artifact(tmp_path / "other", trees, other)
    file = tmp_path / "package.json"

    def exported(version: str) -> dict[str, Any]:
        models("export", version, "--group", "fraud", "--image", IMAGE, "--json", str(file), *where)
        return dict(json.loads(file.read_text()))

    for folder in (SHIPPED, tmp_path / "other"):
        models("register", str(folder), *where)
    first, again, second = (exported(one.version) for one in (description, description, other))
    assert (first["created"], again["created"], second["created"]) == (True, False, True)
    assert first["arn"] == again["arn"] != second["arn"]

    client = boto3.client("sagemaker", **options)  # type: ignore[call-overload]
    assert len(client.list_model_packages(ModelPackageGroupName="fraud")["ModelPackageSummaryList"]) == 2
    package = client.describe_model_package(ModelPackageName=first["arn"])
    (container,) = package["InferenceSpecification"]["Containers"]
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["CustomerMetadataProperties"]["definition_hash"] == description.definition_hash
    assert container["ModelDataUrl"] == f"s3://exported/registry/{description.version}/model.tar.gz"
    assert container["Environment"] == {"FRAUD_MODEL__ARTIFACT_SHA256": artifact_sha256(SHIPPED)}
    with pytest.raises(MisconfiguredError, match=r"deployment\.image: is needed"):
        models("export", description.version, "--group", "fraud", *where)


def test_a_registry_in_a_folder_cannot_be_deployed_from(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"model\.registry: .* is not an s3:// address"):
        models("deploy", "champion", "--set", f"model.registry={tmp_path}", "--endpoint", "fraud")
