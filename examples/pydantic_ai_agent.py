"""A pydantic-ai agent with a tool. Serve it with: netra serve pydantic_ai_agent:agent

It needs the extra: pip install 'netra-backend[pydantic-ai]'. TestModel works without a network
and calls every tool once; write a model's name, such as "openai:gpt-5", to talk to a real one.
"""

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

agent = Agent(TestModel(), instructions="You know what the weather is like.")


@agent.tool_plain
def weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It is sunny in {city}."
