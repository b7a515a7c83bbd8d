"""The current token of MSAL's cache: arguments and output are those of session.py. It never uses the network."""

import json

import baseline
import msal

AUTHORITY = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000"


class Response:
    """Describes the authority, and is a token."""

    status_code = 200
    headers = {}
    text = json.dumps({
        "authorization_endpoint": f"{AUTHORITY}/authorize",
        "token_endpoint": f"{AUTHORITY}/token",
        "issuer": f"{AUTHORITY}/v2.0",
        "token_type": "Bearer",
        "access_token": baseline.PASSWORD,
        "expires_in": 3600,
    })

    def raise_for_status(self):
        pass


class HttpClient:
    def get(self, *_, **__):
        return Response()

    post = get

    def close(self):
        pass


application = msal.ConfidentialClientApplication(
    "client", client_credential="secret", authority=AUTHORITY, http_client=HttpClient(), instance_discovery=False
)
baseline.repeat(lambda: application.acquire_token_for_client(["scope/.default"])["access_token"])
