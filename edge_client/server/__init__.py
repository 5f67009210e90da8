"""The device as a local server that speaks OpenAI's API: `edge-client serve`."""
