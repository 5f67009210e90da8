"""The command line of the device: `edge-client`."""
