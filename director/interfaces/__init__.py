"""Ways in for agents: the Tools of a run as LangChain tools and as an MCP server. Each needs the extra ``agents``."""
