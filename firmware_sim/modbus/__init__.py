"""Modbus meters in software: registers of the shipped profiles that count, over TCP and RTU, well or badly."""
