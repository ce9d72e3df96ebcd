"""The emulators that Terraform is applied to: SageMaker and its autoscaling on moto, everything else on ministack."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.server import ThreadedMotoServer

from embedded.emulator import start_emulator

ACCOUNT = "000000000000"
"""The account that ministack says callers belong to."""

ON_MOTO = ("applicationautoscaling", "sagemaker")
ON_MINISTACK = (
    "cloudwatch",
    "cloudwatchlogs",
    "dynamodb",
    "ec2",
    "ecr",
    "eks",
    "iam",
    "kinesis",
    "kms",
    "s3",
    "sns",
    "sts",
)

_XML = "ministack's answer in XML leaves it out; the one in JSON has it"

FAULTS = {
    "aws_appautoscaling_target tags_all": "moto keeps no tags of scalable targets",
    **dict.fromkeys(
        (
            f"aws_cloudwatch_metric_alarm {name}"
            for name in (
                "actions_enabled",
                "alarm_actions",
                "alarm_description",
                "dimensions",
                "extended_statistic",
                "ok_actions",
                "period",
                "statistic",
                "treat_missing_data",
            )
        ),
        _XML,
    ),
    "aws_eks_node_group launch_template": "ministack keeps no launch template of a node group",
    "aws_eks_node_group update_config": "ministack does not keep it",
    "aws_flow_log iam_role_arn": "ministack does not keep it",
    "aws_flow_log max_aggregation_interval": "ministack does not keep it",
    "aws_flow_log tags_all": "ministack does not keep tags given at the creation of a flow log",
    "aws_kinesis_stream shard_level_metrics": "ministack does not keep it",
    "aws_kinesis_stream tags_all": "ministack does not keep tags given at the creation of a stream",
    "aws_sagemaker_endpoint_configuration shadow_production_variants": "moto does not keep shadow variants",
    "aws_sagemaker_model enable_network_isolation": "moto does not keep it",
    "aws_sagemaker_model vpc_config": "moto answers an empty network for none",
    "aws_vpc_endpoint private_dns_enabled": "ministack does not keep it",
    "aws_vpc_endpoint security_group_ids": "ministack does not keep it",
}
"""What a second plan may want to change, by type and attribute, because an emulator does not keep or return it."""


class Emulators(NamedTuple):
    """Addresses of the emulators."""

    ministack: str
    moto: str

    def endpoints(self) -> dict[str, str]:
        """The provider's `endpoints`: each service that the platform uses, and where it is."""
        return dict.fromkeys(ON_MOTO, self.moto) | dict.fromkeys(ON_MINISTACK, self.ministack)


@contextmanager
def emulators(folder: Path) -> Iterator[Emulators]:
    """Emulators on free ports of 127.0.0.1 that live, with what they hold, as long as the context."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Terraform reads a target's tags after it made it, and moto does not know the call.
    answers: Any = ApplicationAutoScalingResponse
    answers.list_tags_for_resource = lambda _self: json.dumps({"Tags": {}})
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        child, address = start_emulator(folder)
        try:
            yield Emulators(address, f"http://{host}:{port}")
        finally:
            child.stop()
    finally:
        moto.stop()
