"""A double of SageMaker's UpdateEndpoint, which moto lacks.

The answers of DescribeEndpoint that follow an update are written down in `tests/fixtures/sagemaker`, in the shapes and
with the stages that the API reference gives. They are not taken from an account. What is sent is still checked by
botocore against the service's model.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sagemaker"


class _Answered(NamedTuple):
    status_code: int = HTTPStatus.OK


class UpdateEndpointDouble:
    """Answers UpdateEndpoint, and from then on DescribeEndpoint, in place of a client's service.

    Args:
        client: boto3 client of SageMaker.
        course: name of the fixture: `update-succeeds` or `update-rolled-back`.
    """

    def __init__(self, client: Any, course: str) -> None:
        self.requests: list[dict[str, Any]] = []
        self.course: list[dict[str, Any]] = json.loads((FIXTURES / f"{course}.json").read_text())
        self._names: dict[str, str] = {}
        self._client = client
        client.meta.events.register("before-call.sagemaker.UpdateEndpoint", self._update)
        client.meta.events.register("before-call.sagemaker.DescribeEndpoint", self._describe)

    def _update(self, params: dict[str, Any], **_: Any) -> tuple[_Answered, dict[str, Any]]:
        request = json.loads(params["body"])
        standing = self._client.describe_endpoint(EndpointName=request["EndpointName"])
        self.requests.append(request)
        self._names = {
            "OLD": standing["EndpointConfigName"],
            "NEW": request["EndpointConfigName"],
            "ENDPOINT": request["EndpointName"],
        }
        return _Answered(), {"EndpointArn": standing["EndpointArn"]}

    def _describe(self, **_: Any) -> tuple[_Answered, dict[str, Any]] | None:
        if not self.requests:
            return None
        answer = json.dumps(self.course.pop(0) if len(self.course) > 1 else self.course[0])
        for placeholder, name in self._names.items():
            answer = answer.replace(f"<{placeholder}>", name)
        return _Answered(), json.loads(answer)
