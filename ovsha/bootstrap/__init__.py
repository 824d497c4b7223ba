"""Do what vtep-bootstrap did: certificate, rows, addresses, and the configuration of an OVSDB pair."""
