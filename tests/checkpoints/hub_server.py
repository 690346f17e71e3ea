"""A server on loopback that speaks the protocol of Hugging Face's hub, as far as downloads and
uploads need it."""

import base64
import contextlib
import hashlib
import http.server
import json
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories of files, and what was asked for.

    Args:
        repositories: OWNER/NAME -> name of a file -> its bytes.
        private: OWNER/NAME -> the token that reads it.
        renamed: an old name -> OWNER/NAME.
        status: answered to everything, in the place of an answer.
        cut: names of files whose first transfer ends in its middle.
    """

    def __init__(self, repositories=()):
        self.repositories = dict(repositories)
        self.private, self.renamed, self.gated = {}, {}, set()
        self.status, self.cut = None, set()
        self.requests, self.ranges = [], []

    def files_got(self):
        """Names of the files that were transferred."""
        got = [path for method, path in self.requests if method == "GET"]
        direct = {path.rpartition("/")[2] for path in got if "/resolve/" in path}
        return direct | {path.rpartition("::")[2] for path in got if path.startswith("/cdn/")}


def etag(content):
    return hashlib.sha1(content).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self):
        return self.server.hub

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        if self.hub.status is not None:
            return self.answer(self.hub.status, {})
        if path.startswith("/cdn/"):
            return self.send_file(*path.removeprefix("/cdn/").rsplit("::", 1))
        if path.startswith("/api/models/"):
            return self.describe(path.removeprefix("/api/models/"))
        repository, _, rest = path[1:].partition("/resolve/")
        if repository in self.hub.renamed:
            new = f"/{self.hub.renamed[repository]}/resolve/{rest}"
            return self.answer(307, b"", {"Location": new})
        name = rest.partition("/")[2]
        if not self.may_read(repository):
            return
        content = self.hub.repositories[repository].get(name)
        if content is None:
            return self.answer(404, {}, {"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag(content)}"'}
        if len(content) < 1000:
            return self.answer(200, content, headers)
        # Large files lie on another host: the first answer says what they are.
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": headers["ETag"]}
        headers["Location"] = f"{self.hub.storage}/cdn/{repository}::{name}"
        return self.answer(302, b"", headers)

    def describe(self, rest):
        repository = next((r for r in self.hub.repositories if rest.startswith(r)), None)
        old = next((r for r in self.hub.renamed if rest == r or rest.startswith(f"{r}/")), None)
        if repository is None and old is not None:
            new = rest.replace(old, self.hub.renamed[old], 1)
            return self.answer(307, b"", {"Location": f"/api/models/{new}"})
        if not self.may_read(repository):
            return
        files = self.hub.repositories[repository]
        what = rest.removeprefix(repository).strip("/").split("/")
        if what[0] == "revision" and what[1] not in ("main", "v1", COMMIT):
            return self.answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
        if what[0] == "tree":
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": etag(content)}
                for name, content in files.items()
            ]
            return self.answer(200, entries)
        siblings = [{"rfilename": n, "size": len(c), "blobId": etag(c)} for n, c in files.items()]
        card = {"license": "apache-2.0"}
        described = {"id": repository, "sha": COMMIT, "siblings": siblings, "cardData": card}
        return self.answer(200, described)

    def may_read(self, repository):
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repository in self.hub.gated:
            self.answer(403, {}, {"X-Error-Code": "GatedRepo"})
        elif repository not in self.hub.repositories:
            # As the hub does: without a token one does not learn what is not there.
            self.answer(404 if token else 401, {}, {"X-Error-Code": "RepoNotFound"})
        elif token != self.hub.private.get(repository, token):
            self.answer(401, {}, {"X-Error-Code": "RepoNotFound"})
        else:
            return True
        return False

    def send_file(self, repository, name):
        content, first = self.hub.repositories[repository][name], 0
        if "Range" in self.headers:
            self.hub.ranges.append((name, self.headers["Range"]))
            first = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("ETag", f'"{etag(content)}"')
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if name in self.hub.cut:
            self.hub.cut.discard(name)
            self.wfile.write(content[first : len(content) // 2])
            self.close_connection = True
            return
        self.wfile.write(content[first:])

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        path = self.path.partition("?")[0]
        self.hub.requests.append(("POST", path))
        if self.headers.get("Authorization") != "Bearer secret":
            return self.answer(401, {})
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'someone'}/{asked['name']}"
            self.hub.repositories.setdefault(name, {})
            return self.answer(200, {"url": f"{base}/{name}", "id": name})
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        repository, kind = path.removeprefix("/api/models/").rsplit("/", 2)[:2]
        if kind == "preupload":
            files = [file["path"] for file in json.loads(body)["files"]]
            regular = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            return self.answer(200, {"files": [{"path": name, **regular} for name in files]})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.hub.repositories[repository][line["value"]["path"]] = content
        commit = {"commitUrl": f"{base}/{repository}/commit/{COMMIT}", "commitOid": COMMIT}
        return self.answer(200, commit)

    def answer(self, status, content, headers=()):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextlib.contextmanager
def running(hub):
    """The address of a server with these repositories."""
    with _serving(hub) as hub.storage, _serving(hub) as address:
        yield address


@contextlib.contextmanager
def _serving(hub):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub = hub
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def files_in(folder):
    """Name -> bytes of all files in a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
