"""Teams of agents: several language models answer each message at the same time, and one answer says who said what."""
