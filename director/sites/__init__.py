"""Where Directors are launched: this machine, an endpoint's engine without its service, or Globus Compute."""
