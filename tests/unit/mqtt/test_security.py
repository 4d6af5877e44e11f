"""TLS with client certificates, an ACL, passwords from files: over Mosquitto, with certificates made here."""

from __future__ import annotations

import asyncio
import gc
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nrt
from nrt.daemon.mqtt.settings import BrokerConfig, MqttConfig
from nrt.mqtt.address import Broker
from nrt.mqtt.connection import Connection
from nrt.mqtt.dialer import Dialer
from nrt.mqtt.topics import Topics
from tests.brokers import Mosquitto, free_port
from tests.unit.mqtt.conftest import PATIENCE, configuration, running, until

ACL = """
user edge
topic readwrite nrt/edge/#
user office
topic read nrt/#
topic write nrt/+/rpc/request/#
"""


def openssl(arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that wants a certificate of its own authority; its common name is the user."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (apt-get install openssl)")
    folder = tmp_path / "broker"
    folder.mkdir()
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {0}.key -subj /CN={0}"
    authority = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san"
    openssl(f"req -x509 {key.format('ca')} -days 2 -out ca.crt", folder)
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", "edge", "office"):
        openssl(f"req -new {key.format(name)} -out {name}.csr", folder)
        openssl(f"x509 -req -in {name}.csr -out {name}.crt {authority}", folder)
    (folder / "acl").write_text(ACL)
    broker = Mosquitto(folder, "secured")
    yield broker
    broker.kill()


def login(broker: Mosquitto, folder: Path, name: str) -> Broker:
    """A user with a certificate."""
    broker_at = Broker("127.0.0.1", broker.port, True, ca_file=str(folder / "ca.crt"))
    if not name:
        return broker_at
    own = {kind: str(folder / f"{name}.{kind}") for kind in ("crt", "key")}
    return replace(broker_at, cert_file=own["crt"], key_file=own["key"])


# paho leaves a socket to the garbage collector when the TLS handshake on it fails
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
async def test_a_node_and_its_users_keep_to_their_certificates(tmp_path: Path, secured: Mosquitto) -> None:
    folder = tmp_path / "broker"
    pairs = {"ca_file": "ca.crt", "cert_file": "edge.crt", "key_file": "edge.key"}
    files = "\n".join(f'{key} = "{folder / name}"' for key, name in pairs.items())
    settings = configuration(tmp_path, f"mqtts://127.0.0.1:{secured.port}", more=files)
    topics = Topics("edge")
    async with running(settings), asyncio.timeout(PATIENCE):
        async with Dialer(login(secured, folder, "office")).connect() as office:
            await office.subscribe("nrt/#")
            await until(office, lambda m: m.topic == topics.state and m.payload == b"ready")
            await until(office, lambda m: m.topic == topics.of("digits", "decisions"))
            await until(office, lambda m: m.topic == topics.of("digits", "decisions"))
        uri = f"mqtts://127.0.0.1:{secured.port}/edge"
        trust, own, key = (str(folder / each) for each in ("ca.crt", "office.crt", "office.key"))
        async with nrt.connect(uri, ca_file=trust, cert_file=own, key_file=key) as edge:
            assert (await edge.info())["node"] == "edge"
        async with Dialer(login(secured, folder, "edge")).connect() as other:
            await other.publish("nrt/other/$state", b"ready", retain=True)  # not its own: the ACL drops it
            await other.publish("nrt/edge/x", b"own", retain=True)
            await never(other, "nrt/other/$state")
        with pytest.raises(nrt.DeviceError):
            async with Dialer(login(secured, folder, "")).connect():
                pass
        stranger = Broker("127.0.0.1", secured.port, True)
        with pytest.raises(nrt.DeviceError, match=r"certificate|CERTIFICATE"):
            async with Dialer(stranger).connect():
                pass
    gc.collect()


async def never(connection: Connection, topic: str) -> None:
    """Fails if a retained message of `topic` is there; one that is there follows in any case."""
    try:
        await connection.subscribe(topic)
    except nrt.DeviceError:
        return
    await connection.subscribe("nrt/edge/x")
    message = await until(connection, lambda m: True)
    assert message.topic == "nrt/edge/x"


def _passwords(folder: Path) -> None:
    made = ["mosquitto_passwd", "-b", "-c", "passwords", "edge", "right"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)


async def test_a_password_comes_from_a_file_and_is_asked_for(tmp_path: Path) -> None:
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("mosquitto_passwd is not installed (apt-get install mosquitto)")
    _passwords(tmp_path)
    secret = tmp_path / "secret"
    broker = Mosquitto(tmp_path, "password")
    try:
        named = Broker("127.0.0.1", broker.port, username="edge", password_file=str(secret))
        with pytest.raises(nrt.ConfigError, match="cannot be read"):
            async with Dialer(named).connect():
                pass
        for password, right in (("wrong\n", False), ("right\n", True)):
            secret.write_text(password)
            if right:
                async with asyncio.timeout(PATIENCE), Dialer(named).connect() as connection:
                    await connection.publish("a", b"")
            else:
                with pytest.raises(nrt.DeviceError, match="refuses the connection"):
                    async with Dialer(named).connect():
                        pass
                assert "wrong" not in str(named)
    finally:
        broker.kill()


def test_a_broker_open_to_others_wants_certificates_and_passwords() -> None:
    with pytest.raises(nrt.ConfigError, match="open to others"):
        BrokerConfig(host="0.0.0.0")
    for host in ("127.0.0.1", "::1", "localhost"):
        assert BrokerConfig(host=host).host == host


def test_settings_that_contradict_each_other_are_refused_with_their_line(tmp_path: Path) -> None:
    mistakes: tuple[dict[str, Any], ...] = (
        {"broker": "http://x"},
        {"broker": "mqtt://host/node"},
        {"rate": 0},
        {"prefix": "a/b"},
        {"password_file": tmp_path},
        {"ca_file": tmp_path},
        {"broker": "mqtts://x", "cert_file": tmp_path},
    )
    for wrong in mistakes:
        with pytest.raises(nrt.ConfigError):
            MqttConfig(**wrong)
    with pytest.raises(nrt.ConfigError, match=r"edge\.toml:\d+: .*rate"):
        configuration(tmp_path, f"mqtt://127.0.0.1:{free_port()}", more="rate = 0")
