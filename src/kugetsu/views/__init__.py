"""What people look at: tables, stories and their JSON, made from state and events; no effects."""
