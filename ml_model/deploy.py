"""Brings an endpoint on SageMaker to what a plan says; what is so already is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from fraud.errors import FatalError, MisconfiguredError, RefusedError, RetryableError
from ml_model.deployment_plan import DeploymentPlan, Request

_POLL_S = 15.0
_AT_WORK = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
_BEYOND_REPAIR = {"Failed", "OutOfService", "UpdateRollbackFailed"}


class Step(NamedTuple):
    """One change that is due.

    Attributes:
        what: in words.
        do: makes it.
    """

    what: str
    do: Callable[[], Any]


class Deployer:
    """Deploys.

    Args:
        sagemaker: client made by `adapters.aws.clients.aws_client`.
        autoscaling: client of `application-autoscaling`, likewise.
        progress: called with each line of progress.
        sleep: waits so many seconds between two looks.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        sagemaker: Any,
        autoscaling: Any,
        progress: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sagemaker = sagemaker
        self._autoscaling = autoscaling
        self._progress = progress
        self._sleep = sleep
        self._clock = clock

    def due(self, plan: DeploymentPlan) -> list[Step]:
        """What a deployment would change, in order; empty where everything is as planned.

        Raises:
            MisconfiguredError: SageMaker refuses to answer.
            RetryableError: SageMaker is busy or cannot be reached.
        """
        with refusals_named():
            return [*self._models_due(plan), *self._endpoint_due(plan), *self._scaling_due(plan)]

    def deploy(self, plan: DeploymentPlan) -> list[str]:
        """Makes the changes that are due, and waits for the endpoint.

        A deployment that was interrupted goes on where it was when it is started again.

        Returns:
            What was changed, in words.

        Raises:
            FatalError: SageMaker took the update back, or the endpoint failed; the message has SageMaker's reason.
            RetryableError: SageMaker is busy, cannot be reached, or is not done in time.
            MisconfiguredError: SageMaker refuses a request.
        """
        with refusals_named():
            if self._describe(plan.endpoint) is not None:
                self._settled(plan)
            changed = self._make([*self._models_due(plan), *self._endpoint_due(plan)])
            self._require_deployed(plan)
            return changed + self._make(self._scaling_due(plan))

    def _make(self, steps: list[Step]) -> list[str]:
        for step in steps:
            self._progress(step.what)
            step.do()
        return [step.what for step in steps]

    def _models_due(self, plan: DeploymentPlan) -> list[Step]:
        client, model, config = self._sagemaker, plan.model, plan.config
        due = []
        if _found(client.describe_model, ModelName=model["ModelName"]) is None:
            due.append(Step(f"create model {model['ModelName']}", lambda: client.create_model(**model)))
        name = config["EndpointConfigName"]
        if _found(client.describe_endpoint_config, EndpointConfigName=name) is None:
            due.append(Step(f"create endpoint configuration {name}", lambda: client.create_endpoint_config(**config)))
        return due

    def _endpoint_due(self, plan: DeploymentPlan) -> list[Step]:
        endpoint, config = plan.endpoint, plan.config["EndpointConfigName"]
        found = self._describe(endpoint)
        if found is None:
            create = {"EndpointName": endpoint, "EndpointConfigName": config}
            return [Step(f"create endpoint {endpoint}", lambda: self._sagemaker.create_endpoint(**create))]
        if found["EndpointConfigName"] == config:
            return []
        return [
            Step(
                f"update endpoint {endpoint} from {found['EndpointConfigName']} to {config}",
                lambda: self._sagemaker.update_endpoint(**plan.update),
            )
        ]

    def _scaling_due(self, plan: DeploymentPlan) -> list[Step]:
        client, where = self._autoscaling, plan.scaled
        asked = {"ServiceNamespace": where["ServiceNamespace"], "ScalableDimension": where["ScalableDimension"]}
        targets = client.describe_scalable_targets(ResourceIds=[where["ResourceId"]], **asked)["ScalableTargets"]
        target, policy = plan.target, plan.policy
        if target is None:
            return [Step("turn scaling off", lambda: client.deregister_scalable_target(**where))] if targets else []
        due = []
        if not any(_holds(found, target) for found in targets):
            title = f"scale between {target['MinCapacity']} and {target['MaxCapacity']} instances"
            due.append(Step(title, lambda: client.register_scalable_target(**target)))
        policies = client.describe_scaling_policies(ResourceId=where["ResourceId"], **asked)["ScalingPolicies"]
        if not any(_holds(found, policy) for found in policies):
            aim = policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"]
            title = f"scale to {aim:g} calls an instance and minute"
            due.append(Step(title, lambda: client.put_scaling_policy(**policy)))
        return due

    def _require_deployed(self, plan: DeploymentPlan) -> None:
        found, config = self._settled(plan), plan.config["EndpointConfigName"]
        if found["EndpointConfigName"] != config:
            raise FatalError(
                f"SageMaker rolled back the update of {plan.endpoint}; {found['EndpointConfigName']} keeps serving. "
                f"{found.get('FailureReason') or 'It gives no reason.'}"
            )

    def _settled(self, plan: DeploymentPlan) -> Request:
        """The endpoint once SageMaker has stopped working on it."""
        reported, begun = "", self._clock()
        while True:
            found = self._describe(plan.endpoint)
            if found is None:
                raise RetryableError(f"endpoint {plan.endpoint} was deleted in the meantime")
            status = _status(found)
            if status != reported:
                self._progress(f"{self._clock() - begun:5.0f} s  {status}")
                reported = status
            if found["EndpointStatus"] in _BEYOND_REPAIR:
                reason = found.get("FailureReason") or "no reason given"
                raise FatalError(
                    f"endpoint {plan.endpoint} is {found['EndpointStatus']}: {reason}; delete it and deploy again"
                )
            if found["EndpointStatus"] not in _AT_WORK:
                return found
            if self._clock() - begun > plan.timeout_s:
                raise RetryableError(
                    f"endpoint {plan.endpoint} is {status} after {plan.timeout_s} s (deployment.timeout_s); "
                    "the same command continues to wait"
                )
            self._sleep(_POLL_S)

    def _describe(self, endpoint: str) -> Request | None:
        return _found(self._sagemaker.describe_endpoint, EndpointName=endpoint)


def _status(endpoint: Request) -> str:
    """Its status, with the stage that an update is in."""
    variants = endpoint.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    stages = [stage["Status"] for variant in variants for stage in variant.get("VariantStatus", [])]
    return ", ".join([endpoint["EndpointStatus"], *stages])


def _found(describe: Callable[..., Request], **name: str) -> Request | None:
    try:
        return describe(**name)
    except RefusedError as error:
        # SageMaker has no code of its own for what does not exist.
        if error.code == "ValidationException" and "Could not find" in error.detail:
            return None
        raise


def _holds(found: Any, wanted: Any) -> bool:
    """Whether an answer has everything that was asked for; services add defaults of their own."""
    if isinstance(wanted, dict):
        return all(key in found and _holds(found[key], value) for key, value in wanted.items())
    return bool(found == wanted)


@contextmanager
def refusals_named() -> Iterator[None]:
    """A refused request is a fault of the section `deployment`, or of the rights of who deploys."""
    try:
        yield
    except RefusedError as error:
        raise MisconfiguredError("deployment", str(error)) from None
