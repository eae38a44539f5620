"""The users of each organization: pairs of whether the user is deleted, and the user as the API sends it."""

ORG = "016b78a7-0c7c-4241-a277-015c3ad3cb90"
OTHER_ORG = "7f2c1e9a-3b4d-4c5e-8f60-718293a4b5c6"
EMPTY_ORG = "00000000-0000-4000-8000-00000000000e"


def user(org_id, number, role, email, **more):
    return {
        "id": f"5e0f1c2d-0000-4000-8000-{number:012d}", "organization_id": org_id, "external_user_id": None, "role": role,
        "email": email, "first_name": None, "last_name": None, "is_onboarded": None, "street_and_number": None,
        "street_add_info": None, "zip_code": None, "town": None, "country": None, "latitude": None, "longitude": None,
        "last_login": None, "num_inverters": 0, "num_heat_pumps": 0, "num_electric_vehicles": 0, "num_wallboxes": 0,
        "joined_at": None, **more,
    }


ORGANIZATIONS = {
    ORG: [
        (False, user(ORG, 1, "admin", "zoë@example.com", external_user_id="crm-17", first_name="Zoë", last_name="Weiß",
                     is_onboarded=True, street_and_number="Währinger Gürtel 5", street_add_info="Stiege 2, \"Hof\"",
                     zip_code="1090", town="Wien", country="Austria", latitude=48.2222, longitude=16.3547,
                     last_login="2026-11-02T07:15:30.123456Z", num_heat_pumps=1, num_wallboxes=2,
                     joined_at="2024-02-29T23:59:59+02:00")),
        (False, user(ORG, 2, "user", "jan@example.org", first_name="Jan \U0001f3e0", latitude=-33.0, longitude=0.0,
                     num_electric_vehicles=3)),
        (True, user(ORG, 3, "guest", "gone@example.net", is_onboarded=False)),
    ],
    OTHER_ORG: [
        (False, user(OTHER_ORG, 11, "staff", "mo@example.com", first_name="Mo")),
    ],
    EMPTY_ORG: [],
}
