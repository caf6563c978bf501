"""Modbus meters: profiles that say where a meter keeps its registers, and the poller that reads them."""

from headend.collect.modbus.poller import ModbusPoller
from headend.collect.modbus.profile import Profile, load_profiles

__all__ = ["ModbusPoller", "Profile", "load_profiles"]
