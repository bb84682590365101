"""An MCP server that wants OAuth, and its authorization server, on a free port that it prints."""

import base64
import os
import signal
import socket
import sys
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

TOKEN = "the-token"


class Verifier:
    async def verify_token(self, token: str) -> AccessToken | None:
        known = token == TOKEN
        return AccessToken(token=token, client_id="us", scopes=[]) if known else None


def made(origin: str) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer(
        "locked",
        log_level="ERROR",
        token_verifier=Verifier(),
        auth=AuthSettings.model_validate(
            {
                "issuer_url": origin,
                "resource_server_url": f"{origin}/mcp",
                "validate_token_resource": False,
            }
        ),
    )

    @server.tool()
    def secret() -> str:
        return "for who is logged in"

    @server.custom_route("/.well-known/oauth-authorization-server", methods=["GET"])
    async def metadata(_: Request) -> Response:
        return JSONResponse(
            {
                "issuer": origin,
                "authorization_endpoint": f"{origin}/authorize",
                "token_endpoint": f"{origin}/token",
                "response_types_supported": ["code"],
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    @server.custom_route("/token", methods=["POST"])
    async def token(request: Request) -> Response:
        wanted = "Basic " + base64.b64encode(b"us:password").decode()
        if request.headers.get("authorization") != wanted:
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        return JSONResponse({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})

    return server


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # With its protocol said, or asyncio would not turn Nagle's algorithm off.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    app = made(f"http://127.0.0.1:{port}").streamable_http_app()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    main()
