"""Lists users with Python's urllib and json. urllib makes a new connection for each request."""

import json
import sys
import time
import urllib.request

base, token, warm_org, warm_ups, org, calls, users = sys.argv[1:]


def list_users(org_id):
    request = urllib.request.Request(
        f"{base}/api/partners/v2.0/org/{org_id}/users",
        headers={"Authorization": "Bearer " + token, "Accept": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


for _ in range(int(warm_ups)):
    list_users(warm_org)
start = time.monotonic()
for _ in range(int(calls)):
    got = list_users(org)  # kept until after the measurement, which does not include freeing the last list
print(f"seconds {(time.monotonic() - start) / int(calls):.9f}")
assert len(got) == int(users)
