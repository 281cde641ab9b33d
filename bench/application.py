"""An application that imports the client and nothing else, to be looked at from outside.

{"config": …, "event": […]}  ─►   ready to emit
<a number>                   ─►   emits so many, flushes  ─►  {"delivered": …, "workers": […]}
end of file                  ─►   closes the client, and ends
"""

import json
import sys
from datetime import datetime

from dataart_mp import Client, ClientConfig


def main() -> None:
    """Do what standard input says."""
    brief = json.loads(sys.stdin.readline())
    key, user_key, is_anonymous_user, timestamp, metadata = brief["event"]
    moment = datetime.fromisoformat(timestamp)
    with Client(ClientConfig.from_wire(brief["config"])) as client:
        for line in sys.stdin:
            for _ in range(int(line)):
                client.emit_action(key, user_key, is_anonymous_user, moment, metadata)
            client.flush()
            answer = {"delivered": client.stats().delivered, "workers": client._engine.workers()}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
