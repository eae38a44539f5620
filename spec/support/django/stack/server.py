"""The WSGI application: Django with a new database, a record of the requests, and a URL for commands.

POST /control takes a JSON array of commands and responds with the array of their results. A command is an object with
`do`, the name of a function below that has the decorator `command`, and the arguments of that function.
"""

import base64
import io
import json
import os
from datetime import timedelta
from urllib.parse import parse_qsl

import django
import oauth2_provider

os.environ["DJANGO_SETTINGS_MODULE"] = "stack.settings"
django.setup()

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.db.backends.signals import connection_created
from django.test.utils import override_settings
from django.utils import timezone
from oauth2_provider.models import get_access_token_model, get_application_model, get_refresh_token_model

from stack import api

Application, AccessToken, RefreshToken = get_application_model(), get_access_token_model(), get_refresh_token_model()
User = get_user_model()

BACKENDS = {
    "form": "oauth2_provider.oauth2_backends.OAuthLibCore",
    "json": "oauth2_provider.oauth2_backends.JSONOAuthLibCore",
}

# ---- Commands ----

commands = {}
changed = []  # overrides of settings by `configure`, which `reset` removes
received = []


def command(function):
    commands[function.__name__] = function
    return function


@command
def reset():
    """Restores the state after the start."""
    while changed:
        changed.pop().disable()
    api.refusals = "ninja"
    for model in RefreshToken, AccessToken, Application, User:
        model.objects.all().delete()
    application(api.OWN_APPLICATION, "", "password", "public")
    received.clear()


@command
def configure(backend=None, debug=None, allowed_hosts=None, refusals=None, expires_in=None):
    """Changes settings until the next reset.

    backend: "form" or "json", what /oauth2/token/ reads
    debug, allowed_hosts: Django's DEBUG and ALLOWED_HOSTS
    refusals: "ninja" or "toolkit", how the list refuses a token
    expires_in: lifetime of new tokens, in seconds
    """
    if refusals is not None:
        api.refusals = refusals
    provider = dict(settings.OAUTH2_PROVIDER)
    if backend is not None:
        provider["OAUTH2_BACKEND_CLASS"] = BACKENDS[backend]
    if expires_in is not None:
        provider["ACCESS_TOKEN_EXPIRE_SECONDS"] = expires_in
    values = {"OAUTH2_PROVIDER": provider}
    if debug is not None:
        values["DEBUG"] = debug
    if allowed_hosts is not None:
        values["ALLOWED_HOSTS"] = allowed_hosts
    override = override_settings(**values)
    override.enable()
    changed.append(override)


@command
def application(client_id, client_secret, grant="client-credentials", client_type="confidential"):
    """Creates or changes an application. grant: the only grant that it may use, "client-credentials" or "password"."""
    values = {"client_secret": client_secret, "authorization_grant_type": grant, "client_type": client_type}
    Application.objects.update_or_create(client_id=client_id, defaults=values)


@command
def delete_application(client_id):
    """Deletes an application and its tokens, as the page of the application does."""
    Application.objects.get(client_id=client_id).delete()


@command
def user(username, password, is_active=True):
    found, _ = User.objects.get_or_create(username=username)
    found.is_active = is_active
    found.set_password(password)
    found.save()


@command
def expire_tokens():
    """Expires all access tokens. Returns their number."""
    return AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))


@command
def toolkit_version():
    return oauth2_provider.__version__


@command
def revoke_tokens():
    """Revokes all access tokens, but not the refresh tokens. Returns their number."""
    tokens = list(AccessToken.objects.all())
    for token in tokens:
        token.revoke()
    return len(tokens)


@command
def revoke_refresh_tokens():
    """Revokes all refresh tokens and their access tokens. Returns the number of refresh tokens."""
    tokens = list(RefreshToken.objects.filter(revoked__isnull=True))
    for token in tokens:
        token.revoke()
    return len(tokens)


@command
def requests():
    """Returns the requests since the last reset, see `describe`."""
    return received


# ---- Record ----


def read_body(content_type, body):
    """Returns the encoding and the fields of a request's body."""
    try:
        if content_type == "application/x-www-form-urlencoded":
            return "form", dict(parse_qsl(body.decode(), keep_blank_values=True))
        if content_type == "application/json":
            fields = json.loads(body)
            return "json", fields if isinstance(fields, dict) else {}
    except ValueError:
        pass
    return None, {}


def client_auth(scheme, fields):
    """Returns where the client's secret is."""
    if scheme == "Basic":
        return "basic"
    return "body" if fields.get("client_secret") is not None else "none"


def read_basic(credentials):
    """Returns the decoded user and password of Basic authentication, one character for each byte, or None."""
    try:
        return base64.b64decode(credentials).decode("latin-1")
    except ValueError:
        return None


def kind_of(path):
    if path.rstrip("/") in ("/oauth2/token", "/api/partners/v2.0/auth/token"):
        return "token"
    return "api" if path.startswith("/api/") else "other"


def describe(environ, body):
    """Returns a request in the format of the mock server's record. `authorization` is only the scheme."""
    content_type = environ.get("CONTENT_TYPE", "").split(";")[0]
    scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    encoding, fields = read_body(content_type, body)
    return {
        "kind": kind_of(environ["PATH_INFO"]),
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "query": environ.get("QUERY_STRING", ""),
        "host": environ.get("HTTP_HOST"),
        "content_type": content_type,
        "encoding": encoding,
        "authorization": scheme or None,
        "credentials": read_basic(credentials) if scheme == "Basic" else None,
        "client_auth": client_auth(scheme, fields),
        "grant": fields.get("grant_type"),
        "fields": sorted(fields),
    }


# ---- WSGI ----


def control(body, start_response):
    results = []
    for arguments in json.loads(body):
        results.append(commands[arguments.pop("do")](**arguments))
    response = json.dumps(results).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(response)))])
    return [response]


def make_database():
    """Creates the tables of the current models, which is faster than running all migrations."""
    with connection.schema_editor() as editor:
        for model in apps.get_models():
            editor.create_model(model)
    reset()
    connection.close()  # a worker opens another one


def turn_off_sync(sender, connection, **_):
    """Has SQLite not wait for the disk: the database is not needed after the server has ended."""
    connection.cursor().execute("PRAGMA synchronous = OFF")


connection_created.connect(turn_off_sync)
make_database()
pages = get_wsgi_application()


def serve(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ["PATH_INFO"] == "/control":
        return control(body, start_response)
    environ["wsgi.input"] = io.BytesIO(body)
    request = describe(environ, body)
    received.append(request)

    def start_recorded(status, *arguments):
        request["status"] = int(status.split()[0])
        return start_response(status, *arguments)

    return pages(environ, start_recorded)
