"""A Hub on this machine, which speaks enough of the protocol for the client of huggingface_hub."""

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

import pytest
from huggingface_hub import constants

SHA = "1" * 40
TOKEN = "hf_" + "x" * 20


class FakeHub(ThreadingHTTPServer):
    """The repositories, and what was asked.

    Attributes:
        files: repository -> file name -> content.
        private: repository -> whether it is private.
        messages: messages of the commits.
        refuses: path of a request -> the status with which it is answered.
        requests: all requests.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.private, self.messages = {}, {}, []
        self.refuses, self.requests = {}, []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _send(self, status, content=b"", **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value, status=200, **headers):
        self._send(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def _begin(self):
        """The path without its query; answers and returns None if the request is refused."""
        path = unquote(self.path.partition("?")[0])
        self.server.requests.append(f"{self.command} {path}")
        for part, (status, code) in self.server.refuses.items():
            if part in path:
                self._json({"error": "refused"}, status, **({"X_Error_Code": code} if code else {}))
                return None
        return path

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self._begin()
        if path is None:
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid credentials"}, 401)
        elif path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'user'}/{asked['name']}"
            if repo in self.server.files:
                self._json({"error": "exists", "url": f"{self.server.address}/{repo}"}, 409)
                return
            self.server.files[repo] = {}
            self.server.private[repo] = bool(
                asked.get("private") or asked.get("visibility") == "private"
            )
            self._json({"url": f"{self.server.address}/{repo}", "name": repo})
        elif "/preupload/" in path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif "/commit/" in path:
            repo = "/".join(path.split("/")[3:5])
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    content = base64.b64decode(value["content"])
                    self.server.files[repo][value["path"]] = content
                elif entry["key"] == "header":
                    self.server.messages.append(entry["value"]["summary"])
            url = f"{self.server.address}/{repo}/commit/{SHA}"
            self._json({"commitUrl": url, "commitOid": SHA, "success": True})
        else:  # the check of the card's header
            self._json({"errors": [], "warnings": []})

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self._begin()
        if path is None:
            return
        parts = path.strip("/").split("/")
        repo = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        files = self.server.files.get(repo)
        if files is None:
            self._json({"error": "none"}, 404, X_Error_Code="RepoNotFound")
        elif "/revision/" in path and parts[-1] not in ("main", SHA):
            self._json({"error": "none"}, 404, X_Error_Code="RevisionNotFound")
        elif "/tree/" in path:
            self._json(
                [
                    {"type": "file", "path": name, "size": len(content), "oid": _digest(content)}
                    for name, content in files.items()
                ]
            )
        elif parts[0] == "api":
            siblings = [{"rfilename": name} for name in files]
            private = self.server.private.get(repo, False)
            self._json({"id": repo, "sha": SHA, "private": private, "siblings": siblings})
        elif "resolve" in parts:
            content = files["/".join(parts[parts.index("resolve") + 2 :])]
            self._send(200, content, ETag=f'"{_digest(content)}"', X_Repo_Commit=SHA)
        else:
            self._json({"error": "none"}, 404)


def _digest(content):
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub to which this process is logged in, with an empty cache."""
    server = FakeHub()
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()
