"""What a person and a machine see over HTTP. Reads state that others own; changes none of it."""
