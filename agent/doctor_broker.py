"""Whether the broker lets the agent in as it is configured, and whether another agent goes by its name there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from shlex import quote
from typing import Any

from agent import status
from agent.config import Config, ConfigError
from agent.daemon import broker_options
from agent.finding import Finding, ill, unknown, well
from agent.hints import HERE, broker_command
from agent.messages import ONLINE, Topics
from agent.visit import visit

USUAL_PORT = 1883  # where a broker listens that was installed and not told otherwise
CREDENTIALS = "/run/credentials/"  # of a systemd unit, and there only while it runs
TAKEN = "another client connected with our client id"


def broker(config: Config, file: str) -> Iterator[Finding]:
    """Connect with the configured credentials, publish nothing, and hear who was here before."""
    settings = config.broker
    where = f"{settings.host}:{settings.port}"
    try:
        options = broker_options(config)
    except ConfigError as error:
        secret = settings.password_file
        if secret is not None and str(secret).startswith(CREDENTIALS):
            yield unknown(
                "broker", f"the password is a credential of the service, which nobody else sees: {secret}"
            )
        else:
            mend = f"sudo ls -l {quote(str(secret))}"
            if secret is None:
                mend = f"sudo systemctl edit tocsin  # [Service] Environment={settings.password_env}=..."
            yield ill("broker", str(error), mend)
        return
    topics = Topics(settings.prefix, config.device)
    went = visit(options, options.client_id, (topics.availability, topics.agent_state))
    if not went.protocol:
        yield ill(
            "broker", went.why if where in went.why else f"{where}: {went.why}", _mend(config, went.why, file)
        )
        return
    secured = "" if settings.tls is None else " and TLS"
    yield well("broker", f"{where} lets us in, MQTT {went.protocol}{secured}")
    yield _twin(config, topics, went.retained, file)


def _mend(config: Config, why: str, file: str) -> str:
    settings = config.broker
    where = f"{settings.host}:{settings.port}"
    if why.startswith("TLS"):
        trust = settings.tls.ca_file if settings.tls is not None else None
        given = f" -CAfile {quote(str(trust))}" if trust is not None else ""
        return f"openssl s_client -connect {where}{given} -verify_return_error"
    if "refuses" in why:
        name = quote(settings.username or "NAME")
        return f"sudo mosquitto_passwd /etc/mosquitto/passwd {name}  # on the broker, or mend {file}"
    if "host name" in why:
        return f"getent hosts {settings.host}  # or mend broker.host in {file}"
    if "nothing listens" in why and settings.port != USUAL_PORT:
        return f"start the broker that should listen at {where}, or write its port into {file}: broker.port"
    if settings.host in HERE:
        return broker_command()
    return f"ping -c 3 {settings.host}  # and is it port {settings.port}?"


def _twin(config: Config, topics: Topics, retained: dict[str, bytes], file: str) -> Finding:
    """Another agent under our name: it and we throw each other out for ever."""
    about, mend = "name", f"give one of the two another name: device in {file}"
    answer = status.ask(config.state_dir)
    if isinstance(answer, str):
        if "no agent is running" not in answer:
            return unknown(about, f"whether another agent is called {config.device}: {answer}")
        if retained.get(topics.availability) == ONLINE:
            return ill(about, f"no agent runs here, and yet one called {config.device} is online", mend)
        return well(about, f"no other agent called {config.device} is online")
    agent: dict[str, Any] = answer.get("agent", {})
    connection: dict[str, Any] = agent.get("broker", {})
    if TAKEN in str(connection.get("last_error", "")):
        return ill(about, f"{TAKEN}: {config.broker.client_id}", mend)
    try:
        kept = json.loads(retained.get(topics.agent_state, b"{}"))
    except ValueError:
        kept = {}
    begun = kept.get("started") if isinstance(kept, dict) else None
    online = retained.get(topics.availability) == ONLINE
    if online and begun is not None and begun != agent.get("started"):  # each in turn while they fight
        return ill(about, f"another agent called {config.device} publishes there, since {begun}", mend)
    return well(about, f"no other agent is called {config.device}")
