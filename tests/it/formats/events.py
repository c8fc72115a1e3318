"""Reads what was sent with the libraries of those who take it: events.py cloudevents|pagerduty FILE.

FILE holds {"headers": {…}, "body": "…"}. Prints what a library makes of it, as JSON; fails where it makes nothing of it.
"""

import json
import sys


def cloudevents(headers, body):
    from cloudevents.core.bindings.http import HTTPMessage, from_http_event

    event = from_http_event(HTTPMessage(headers=headers, body=body.encode()))
    attributes = {key: str(value) for key, value in event.get_attributes().items()}
    return {"attributes": attributes, "data": event.get_data()}


def pagerduty(_headers, body):
    """The same event, as the vendor's client sends it."""
    import httpx2
    from pagerduty import EventsApiV2Client

    ours = json.loads(body)
    sent = []

    def take(request):
        sent.append(json.loads(request.content))
        return httpx2.Response(202, json={"status": "success", "dedup_key": ours["dedup_key"]})

    client = EventsApiV2Client(ours["routing_key"])
    client.parent = httpx2.Client(transport=httpx2.MockTransport(take))
    if ours["event_action"] == "resolve":
        client.resolve(ours["dedup_key"])
    else:
        payload = dict(ours["payload"])
        details = payload.pop("custom_details")
        client.trigger(
            payload.pop("summary"), payload.pop("source"), dedup_key=ours["dedup_key"],
            severity=payload.pop("severity"), payload=payload, custom_details=details, links=ours.get("links"),
        )
    return sent[0]


def main():
    with open(sys.argv[2]) as file:
        told = json.load(file)
    print(json.dumps(globals()[sys.argv[1]](told["headers"], told["body"])))


main()
