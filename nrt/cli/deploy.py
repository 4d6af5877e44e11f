"""`nrt deploy`: puts a network on a device, or says where it would go, and what that costs."""

from __future__ import annotations

import asyncio
import dataclasses
import json as json_module

import nrt
from nrt import registry
from nrt.cli.choices import Choices
from nrt.device import Placement


def deploy_network(choices: Choices, *, dry_run: bool, json: bool) -> None:
    """Prints the placement. Raises DeployError with every limit that the network exceeds."""
    placement = asyncio.run(_plan(choices) if dry_run else _deploy(choices))
    if json:
        print(json_module.dumps({**dataclasses.asdict(placement), "dry_run": dry_run}, indent=2))
    else:
        print(placement)


async def _plan(choices: Choices) -> Placement:
    return await registry.device(choices.device).plan(choices.load(), taps=choices.taps)


async def _deploy(choices: Choices) -> Placement:
    network = choices.load()
    async with nrt.open(choices.device) as session:
        return await session.deploy(network, taps=choices.taps)
