#!/usr/bin/env bash
# A FastAPI route that returns header fields answers 500 as soon as it is annotated with `-> Any`, which restricts nothing.
#
# Versions:  fastapi 0.165.0, pydantic 2.14.4, multidict 7.2.1
# Behaviour: without an annotation, FastAPI's own encoder writes what a route returns: it tries dict(value), so that the
#            case-insensitive multidict that aiohttp has for header fields becomes an object of each name's first value,
#            also inside a dictionary. With any annotation, `-> Any` and `-> dict[str, Any]` included, pydantic writes
#            it, which tries no such thing: the client gets 500. A type checker asks for just that annotation.
# Guess:     `Any` is the same as no annotation, as it is for type checkers.
#
# Output seen:
#   no annotation       200 {"headers":{"Content-Type":"text/html"}}
#   -> Any              500 PydanticSerializationError
#   -> dict[str, Any]   500 PydanticSerializationError
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  fastapi==0.165.0 pydantic==2.14.4 multidict==7.2.1 httpx2==2.16.2

cat > "$folder/ask.py" <<'PY'
import sys
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from multidict import CIMultiDict, CIMultiDictProxy

headers = CIMultiDictProxy(CIMultiDict([("Content-Type", "text/html")]))
app = FastAPI()


@app.get("/nothing")
def nothing():
    return {"headers": headers}


@app.get("/any")
def anything() -> Any:
    return {"headers": headers}


@app.get("/dict")
def dictionary() -> dict[str, Any]:
    return {"headers": headers}


client = TestClient(app)
seen = {}
for name, path in {"no annotation": "/nothing", "-> Any": "/any", "-> dict[str, Any]": "/dict"}.items():
    try:
        answer = client.get(path)
        seen[name] = f"{answer.status_code} {answer.text}"
    except Exception as problem:  # the client shows the exception for which a server answers 500
        seen[name] = f"500 {type(problem).__name__}"
    print(f"{name:<19} {seen[name]}")
expected = ['200 {"headers":{"Content-Type":"text/html"}}', *["500 PydanticSerializationError"] * 2]
sys.exit(0 if list(seen.values()) == expected else "the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/ask.py"
