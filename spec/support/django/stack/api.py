"""The Partner API: its token endpoint and the list of users, with the responses of Django Ninja."""

import json

from django.http import HttpResponse, HttpResponseForbidden, HttpResponseNotAllowed, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View
from oauth2_provider.oauth2_backends import OAuthLibCore, get_oauthlib_core
from oauth2_provider.views.mixins import OAuthLibMixin

from stack.users import ORGANIZATIONS

# The public application to which the token endpoint grants tokens if the request names no other.
OWN_APPLICATION = "partner-api"

GRANTS = ("password", "refresh_token")
STRINGS = ("username", "password", "refresh_token", "client_id", "client_secret", "scope")
BOOLEANS = {"true": True, "1": True, "yes": True, "y": True, "on": True, "t": True,
            "false": False, "0": False, "no": False, "n": False, "off": False, "f": False}

# How the list refuses a token: "ninja" or "toolkit" (see `refusal`).
refusals = "ninja"


def invalid(loc, kind, message, **more):
    """Returns one entry of pydantic's list of errors."""
    return {"type": kind, "loc": loc, "msg": message, **more}


def unprocessable(faults):
    return JsonResponse({"detail": faults}, status=422)


def not_allowed(*methods):
    return HttpResponseNotAllowed(methods, content=b"Method not allowed")


def faults_of(payload):
    if not isinstance(payload, dict):
        return [invalid(["body", "payload"], "model_attributes_type",
                        "Input should be a valid dictionary or object to extract fields from")]
    faults = []
    if payload.get("grant_type") not in (None, *GRANTS):
        expected = " or ".join(map(repr, GRANTS))
        faults.append(invalid(["body", "payload", "grant_type"], "literal_error", f"Input should be {expected}",
                              ctx={"expected": expected}))
    for name in STRINGS:
        if not isinstance(payload.get(name), (str, type(None))):
            faults.append(invalid(["body", "payload", name], "string_type", "Input should be a valid string"))
    return faults


class PayloadCore(OAuthLibCore):
    """Passes the payload, without its nulls, to OAuth Toolkit."""

    def extract_body(self, request):
        body = {name: value for name, value in request.payload.items() if value is not None}
        body.setdefault("grant_type", "password")
        if "client_id" not in body and "Authorization" not in request.headers:
            body["client_id"] = OWN_APPLICATION
        return body.items()


@method_decorator(csrf_exempt, name="dispatch")
class TokenView(OAuthLibMixin, View):
    """Reads JSON whatever the content type is, and supports the grants password and refresh_token."""

    oauthlib_backend_class = PayloadCore

    def http_method_not_allowed(self, request, *args, **kwargs):
        return not_allowed("POST")

    def post(self, request):
        try:
            request.payload = json.loads(request.body)
        except ValueError:
            return JsonResponse({"detail": "Cannot parse request body"}, status=400)
        faults = faults_of(request.payload)
        if faults:
            return unprocessable(faults)
        _, headers, body, status = self.create_token_response(request)
        response = HttpResponse(body, status=status)
        for name, value in headers.items():
            response[name] = value
        return response


def refusal():
    """Returns the response of Django Ninja to a request without authentication, or that of OAuth Toolkit's views."""
    if refusals == "toolkit":
        return HttpResponseForbidden()
    return JsonResponse({"detail": "Unauthorized"}, status=401)


def users(request, org_id):
    if request.method != "GET":
        return not_allowed("GET")
    valid, _ = get_oauthlib_core().verify_request(request, scopes=["read"])
    if not valid:
        return refusal()
    text = request.GET.get("include_deleted", "false")
    include_deleted = BOOLEANS.get(text.lower())
    if include_deleted is None:
        return unprocessable([invalid(["query", "include_deleted"], "bool_parsing",
                                      "Input should be a valid boolean, unable to interpret input")])
    if str(org_id) not in ORGANIZATIONS:
        return JsonResponse({"detail": "Not Found"}, status=404)
    return JsonResponse([user for deleted, user in ORGANIZATIONS[str(org_id)] if include_deleted or not deleted],
                        safe=False)
