"""Clients of AWS's services, from what an environment says: profile, keys, region, endpoint.

The worker's own environment is never looked at. Not for the workbench or the commands to import: boto3 takes a quarter
of a second.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from core.errors import ToolError

# By name: they carry no types, and nothing here needs them. At once: a worker outlives the replacement of its program.
_boto3: Any = import_module("boto3")
_config: Any = import_module("botocore.config")
_exceptions: Any = import_module("botocore.exceptions")
_loaders: Any = import_module("botocore.loaders")
_session: Any = import_module("botocore.session")

RETRIES = 8
"""Attempts at one call of somebody who does not wait for it at a screen."""
_TO_CONNECT = 10.0
"""Seconds. botocore's own are sixty, and on a dead network a person would wait for each attempt."""


class _Models:
    """botocore's descriptions of services, each read once: EC2's takes a fifth of a second, and botocore reads it anew
    for every session, which is for every environment of a run."""

    def __init__(self) -> None:
        self._files: Any = _loaders.JSONFileLoader()
        self._read: dict[str, Any] = {}

    def exists(self, file_path: str) -> bool:
        return bool(self._files.exists(file_path))

    def load_file(self, file_path: str) -> Any:
        if file_path not in self._read:
            self._read[file_path] = self._files.load_file(file_path)
        return self._read[file_path]


_MODELS = _Models()


def client(
    region: str, environment: Mapping[str, str], endpoint: str, service: str = "ec2", *, attempts: int = RETRIES
) -> Any:
    """botocore's client of a service in a region; that and the endpoint may be left to `environment`, which holds AWS's
    usual variables. `attempts` at one call, with botocore's jittered back-off between them ("standard" retry mode).
    Raises ToolError."""
    core: Any = _session.Session()
    core.register_component("data_loader", _loaders.Loader(file_loader=_MODELS))
    for variable, setting in (("AWS_CONFIG_FILE", "config_file"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials_file")):
        if variable in environment:
            core.set_config_variable(setting, environment[variable])
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    try:
        session: Any = _boto3.Session(
            botocore_session=core,
            # As the AWS tools do: keys in the environment win over a profile named there.
            profile_name=None if key else environment.get("AWS_PROFILE") or None,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=environment.get("AWS_SESSION_TOKEN") if key else None,
            region_name=region or None,
        )
        return session.client(
            service,
            endpoint_url=endpoint
            or environment.get(f"AWS_ENDPOINT_URL_{service.upper()}")
            or environment.get("AWS_ENDPOINT_URL")
            or None,
            config=_config.Config(
                connect_timeout=_TO_CONNECT, retries={"mode": "standard", "total_max_attempts": attempts}
            ),
        )
    except _exceptions.BotoCoreError as error:
        raise ToolError(
            f"Cannot use AWS in {region}: {error}", "Look at AWS_PROFILE and the AWS configuration files."
        ) from error
