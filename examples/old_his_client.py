"""A hospital's old system and the gateway: nothing but HTTP, JSON and the standard library.

    python examples/old_his_client.py http://127.0.0.1:8490 TOKEN 33061326 [TODAY]

Issues a registration, asks how it stands, pays it back, and compares its own list with the bills.
Each `ref` is this system's own number: after a time-out it asks again, as it asked.
"""

import json
import sys
import time
import urllib.error
import urllib.request

OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
TRIES = 10


def ask(gateway, token, path, body=None):
    """Status and answer. A gateway that is busy or does not answer is asked again, the same."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    last = TRIES
    while True:
        last -= 1
        request = urllib.request.Request(gateway + path, data, headers)
        try:
            with OPEN(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                answer = json.load(error)
            if error.code != 503 or not last:
                return error.code, answer
        except OSError:
            if not last:
                raise
        time.sleep(1)


def issue(gateway, token, code, number, cents):
    """One registration. What comes back may be handed over as `hand_over` says."""
    order = {
        "ref": number,
        "code": code,
        "payer": {"party": "person", "name": "林知夏"},
        "items": [{"code": "13", "name": "挂号费", "amount": cents}],
        "sources": {"cash": cents},
        "place_code": "W03",
        "cashier_shift": "A",
    }
    status, answer = ask(gateway, token, "/v1/bills", order)
    if status not in (200, 202):
        raise SystemExit(f"{number}: {answer['title_zh']} {answer['title']} {answer['detail']}")
    return answer


def main():
    gateway, token, code = sys.argv[1], sys.argv[2], int(sys.argv[3])
    today = sys.argv[4] if len(sys.argv) > 4 else time.strftime("%Y-%m-%d")
    own = [(f"OLD-{n}", 1000 + n) for n in range(3)]  # what this system's till has taken
    bills = {}
    for number, cents in own:
        answer = bills[number] = issue(gateway, token, code, number, cents)
        print(number, answer["bill"], answer["said_zh"], answer["said_en"])
    again = issue(gateway, token, code, *own[0])  # as after a time-out
    print("again", again["bill"], "the same" if again["bill"] == bills["OLD-0"]["bill"] else "NOT")

    bill = bills["OLD-1"]["bill"]
    refund = {"ref": "OLD-1-refund", "reason": "refund"}
    status, red = ask(gateway, token, f"/v1/bills/{bill}/reverse", refund)
    print("refund", red["bill"], status)
    print("state", ask(gateway, token, f"/v1/bills/{bill}")[1]["ledger_state"])

    lines = [{"ref": number, "total": cents} for number, cents in own]
    lines[1]["state"] = "reversed"
    lines.append({"ref": "OLD-9", "total": 500})  # the till took it, and nobody issued it
    scope = {"day": today, "place": "W03", "shift": "A", "lines": lines}
    found = ask(gateway, token, "/v1/reconcile", scope)[1]
    print("agree", found["result"]["equal"]["count"])
    for each in found["differences"]:
        print(each["kind"], each.get("ref", ""), each["action"], each["todo_en"])


if __name__ == "__main__":
    main()
