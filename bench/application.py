"""An application that imports only the client, so that its memory can be measured from outside.

It reads lines from its standard input:

{"config": …, "event": […]}  ─►   creates the client
<number of events>           ─►   emits and flushes  ─►  {"delivered": …, "workers": […]}
end of file                  ─►   closes the client, and ends
"""

import json
import sys
from datetime import datetime

from dataart_mp import Client, ClientConfig


def main() -> None:
    """Carry out the commands from standard input."""
    brief = json.loads(sys.stdin.readline())
    key, user_key, is_anonymous_user, timestamp, metadata = brief["event"]
    moment = datetime.fromisoformat(timestamp)
    with Client(ClientConfig.from_wire(brief["config"])) as client:
        for line in sys.stdin:
            for _ in range(int(line)):
                client.emit_action(key, user_key, is_anonymous_user, moment, metadata)
            client.flush()
            result = {"delivered": client.stats().delivered, "workers": client._engine.workers()}
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
