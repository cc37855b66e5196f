#!/usr/bin/env bash
# chrome-devtools-frontend 1.0.1705227 (the same in Chromium 156) and hario-core 0.4.2: what a valid HAR 1.2 entry loses.
#
# HAR 1.2 says of headersSize "Set to -1 if the info is not available", and that names with an underscore are for fields
# of one's own. One would guess that an importer leaves out a size of -1, and ignores what it does not know. Chromium's
# adds headersSize and bodySize up, so that the Size column of the Network panel shows 999 bytes of 1000; only its own
# field `_transferSize` overrides that. hario-core takes any entry with a name of one's own for an entry of Chromium, and
# then refuses the file, since `_resourceType` is missing, although har-validator 5.1.5 accepts it, and Chromium too.
#
# Seen:
#   har-validator: valid
#   Chromium, headersSize -1, bodySize 1000:                        transferSize 999
#   Chromium, the same with _transferSize 1000:                     transferSize 1000
#   hario-core, no field of one's own:                              1 entry
#   hario-core, with "_label":                                      refused: _resourceType
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund har-validator@5.1.5 chrome-devtools-frontend@1.0.1705227 esbuild@0.28.2 >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check hario-core==0.4.2 2>/dev/null
cat >hars.py <<'PYTHON'
import json

entry = {
    "startedDateTime": "2026-01-01T00:00:00.000Z",
    "time": 10,
    "request": {
        "method": "GET", "url": "http://example.org/", "httpVersion": "HTTP/1.1",
        "cookies": [], "headers": [], "queryString": [], "headersSize": -1, "bodySize": 0,
    },
    "response": {
        "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [], "redirectURL": "",
        "content": {"size": 1000, "mimeType": "text/plain"}, "headersSize": -1, "bodySize": 1000,
    },
    "cache": {},
    "timings": {"send": 0, "wait": 5, "receive": 5},
}
told = entry | {"response": entry["response"] | {"_transferSize": 1000}}
for name, one in {"plain": entry, "told": told, "label": entry | {"_label": "mine"}}.items():
    log = {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": [one]}
    with open(f"{name}.har", "w") as file:
        json.dump({"log": log}, file)
PYTHON
python3 hars.py
cat >validate.cjs <<'JAVASCRIPT'
const read = (name) => JSON.parse(require("fs").readFileSync(name));
Promise.all(["plain.har", "told.har", "label.har"].map((name) => require("har-validator").har(read(name))))
    .then(() => console.log("valid"), (error) => console.log("invalid", error.errors));
JAVASCRIPT
# The package is the source, which Chromium builds: the list of locales is made then, and the runtime is found with await.
cat >import.ts <<'TYPESCRIPT'
import {readFileSync} from "node:fs";
import * as HAR from "./node_modules/chrome-devtools-frontend/front_end/models/har/har.js";
const log = new HAR.HARFormat.HARRoot(JSON.parse(readFileSync(process.argv[2], "utf8"))).log;
for (const request of HAR.Importer.Importer.requestsFromHARLog(log)) console.log(`transferSize ${request.transferSize}`);
TYPESCRIPT
cat >build.mjs <<'JAVASCRIPT'
import {build} from "esbuild";
const made = {
    "locales.js": "export const LOCALES = [], BUNDLED_LOCALES = [], DEFAULT_LOCALE = 'en-US';" +
        "export const REMOTE_FETCH_PATTERN = '', LOCAL_FETCH_PATTERN = '';",
    "HostRuntime.js": "import * as node from './node/node.js'; export const IS_NODE = true, IS_BROWSER = false;" +
        "export const HOST_RUNTIME = node.HostRuntime.HOST_RUNTIME;",
};
const plugin = {name: "made", setup(one) {
    one.onResolve({filter: /^\.\/(locales|HostRuntime)\.js$/}, (at) =>
        at.resolveDir.endsWith("core/i18n") || at.resolveDir.endsWith("core/platform")
            ? {path: at.path.slice(2), namespace: "made", pluginData: at.resolveDir} : undefined);
    one.onLoad({filter: /.*/, namespace: "made"}, (at) => ({contents: made[at.path], resolveDir: at.pluginData}));
}};
await build({entryPoints: ["import.ts"], bundle: true, platform: "node", format: "cjs", outfile: "import.cjs",
    loader: {".css": "text"}, logLevel: "error", plugins: [plugin]});
JAVASCRIPT
node build.mjs
cat >hario.py <<'PYTHON'
import sys

from hario_core.parse import parse

try:
    print(len(parse(sys.argv[1]).entries), "entry")
except ValueError as problem:
    print("refused:", *(error["loc"][0] for error in problem.__cause__.errors()))
PYTHON
valid=$(node validate.cjs)
plain=$(node import.cjs plain.har)
told=$(node import.cjs told.har)
without=$(venv/bin/python hario.py plain.har)
with=$(venv/bin/python hario.py label.har)
echo "har-validator: $valid"
echo "Chromium, headersSize -1, bodySize 1000:                        $plain"
echo "Chromium, the same with _transferSize 1000:                     $told"
echo "hario-core, no field of one's own:                              $without"
echo "hario-core, with \"_label\":                                      $with"
[ "$valid" = valid ]
[ "$plain" = "transferSize 999" ]
[ "$told" = "transferSize 1000" ]
[ "$without" = "1 entry" ]
[ "$with" = "refused: _resourceType" ]
