"""How many devices a target serves, and 10,000 simulated ones on replicas behind the real Envoy."""
