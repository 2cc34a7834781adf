"""`netra-node run` as it is on a kernel below 5.12, where no table can have an owner."""

import os

import uvloop

from netra_node import logs
from netra_node.app import App
from netra_node.interception.slots import Slots
from netra_node.settings.model import Settings

slots = Slots(16)
settings = Settings.from_env(os.environ)
logs.configure(settings.log_level, settings.log_format)
uvloop.run(App(settings, slots, has_owner_flag=lambda: False).run())
