"""Parses the command's output with Python's parsers and compares it with the JSON that the API sent.

    compare.py table|csv|json|ndjson SOURCE RESULT
"""
import csv
import datetime
import json
import re
import sys

FIELDS = ("id organization_id external_user_id role email first_name last_name is_onboarded street_and_number "
          "street_add_info zip_code town country latitude longitude last_login num_inverters num_heat_pumps "
          "num_electric_vehicles num_wallboxes joined_at").split()
FORMULA = re.compile("'*[=+@\t\r\n\uff1d\uff0b\uff0d\uff20-]")


def whole(user):
    """Returns the user with null for every absent field of the schema."""
    return {**dict.fromkeys(FIELDS), **user}


def check(expected, got, where):
    if expected != got or type(expected) is bool and type(got) is not bool:
        sys.exit(f"{where}: {got!r} instead of {expected!r}")


def check_csv(expected, row, where):
    check(FIELDS, list(row), where)
    for name in FIELDS:
        value, cell = expected[name], row[name]
        if isinstance(value, bool):
            check("true" if value else "false", cell, f"{where}.{name}")
        elif isinstance(value, (int, float)):
            check(value, type(value)(cell), f"{where}.{name}")
        elif value is None:
            check("", cell, f"{where}.{name}")
        else:
            if FORMULA.match(cell):
                check("'", cell[0], f"{where}.{name}: first character")
                cell = cell[1:]
            check(value, cell, f"{where}.{name}")


def shown(text):
    """Returns what a table shows for a text: without control characters, with single spaces."""
    text = re.sub("[\0-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "?", text or "")
    return re.sub(" +", " ", text).strip(" ") or "-"


def check_table(user, cells, where):
    login = user["last_login"]
    if login:
        moment = datetime.datetime.fromisoformat(login.replace("Z", "+00:00"))
        login = moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
    name = (user["first_name"] or "") + " " + (user["last_name"] or "")
    texts = [user["role"], name, user["email"], user["external_user_id"]]
    numbers = [user[f"num_{kind}"] for kind in ("inverters", "heat_pumps", "electric_vehicles", "wallboxes")]
    check([shown(text) for text in texts] + [str(number) for number in numbers] + [login or "-"], cells, where)


def main(form, source, result):
    with open(source, encoding="utf-8") as file:
        expected = [whole(user) for user in json.load(file)]
    with open(result, encoding="utf-8", newline="") as file:
        if form == "json":
            got = json.load(file)
        elif form == "ndjson":
            got = [json.loads(line) for line in file.read().split("\n")[:-1]]
        elif form == "csv":
            got = list(csv.DictReader(file, strict=True))
        else:
            got = [re.split(" {2,}", line) for line in file.read().split("\n")[1:-1]]
    checks = {"csv": check_csv, "table": check_table}
    check(len(expected), len(got), "number of users")
    for i, (user, other) in enumerate(zip(expected, got), 1):
        checks.get(form, check)(user, other, f"[{i}]")


main(*sys.argv[1:])
