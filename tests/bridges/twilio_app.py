"""A voice agent as Twilio's own framework has them made, without a line that knows of us: `python twilio_app.py`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import conftest  # noqa: F401  # Lets nobody call home.
from tac import TAC, TACConfig
from tac.channels.voice import VoiceChannel
from tac.models.session import ConversationSession
from tac.server import TACFastAPIServer, TACServerConfig

ACCOUNT, TOKEN, NUMBER, DOMAIN = "AC" + "0" * 32, "12345", "+14155550100", "voice.example"


async def answer(words: str) -> AsyncGenerator[str | dict[str, Any], None]:
    """As a model would say it: piece by piece."""
    for piece in ("I ", "see: ", f"{len(words)}."):
        yield piece


def main() -> None:
    tac = TAC(
        TACConfig(
            account_sid=ACCOUNT,
            auth_token=TOKEN,
            api_key="SK" + "0" * 32,
            api_secret="unused",
            phone_number=NUMBER,
            voice_public_domain=DOMAIN,
        )
    )
    voice = VoiceChannel(tac)

    async def ready(message: str, context: ConversationSession, memory: object) -> None:
        await voice.send_response(context.conversation_id, answer(message))

    tac.on_message_ready(ready)
    # Any port; the server says which.
    TACFastAPIServer(tac=tac, voice_channel=voice, config=TACServerConfig(host="127.0.0.1", port=0)).start()


if __name__ == "__main__":
    main()
