#!/bin/bash
# /openapi.json as those use it who write clients: redocly's recommended rules find nothing, types made from it compile with
# --strict, and a client on them runs. (That what is answered is as it says is looked at in every test: daemon.sh.)
# timeout: 300
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
# shellcheck source=tests/e2e/node/modules
. "$(dirname "$0")/node/modules"
need_node_modules
need_images bash
start_daemon
api /openapi.json
is "$status" 200 'the document is served'
document=$dir/openapi.json

said=$(node tests/e2e/node/openapi.cjs "$document" 2>&1)
is "$said" '0 problems' 'redocly lint finds nothing'
python3 - "$document" "$dir/broken.json" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
d["paths"]["/v1/run"]["post"]["responses"]["200"]["content"]["application/json"]["schema"] = {"$ref": "#/components/schemas/No"}
json.dump(d, open(sys.argv[2], "w"))
END
like "$(node tests/e2e/node/openapi.cjs "$dir/broken.json" 2>&1)" "error no-unresolved-refs" 'and would find a reference to nothing'

bin=$NODE_PATH/.bin
mkdir "$dir/client"
ln -s "$NODE_PATH" "$dir/client/node_modules"
cp tests/e2e/node/openapi_client.ts "$dir/client/main.ts"
said=$("$bin/openapi-typescript" "$document" -o "$dir/client/api.ts" 2>&1)
ok $? 'openapi-typescript makes types' || diag "$said"
compile()
{
	(cd "$dir/client" && "$bin/tsc" --strict --skipLibCheck false --module commonjs --moduleResolution node10 \
		--target es2022 --lib es2022,dom --outDir out main.ts api.ts 2>&1)
}
said=$(compile)
ok $? 'a client on them compiles with --strict' || diag "$said"
got=$(cd "$dir/client" && URL=$url KEY=$key node out/main.js 2>&1)
is "$got" "ok there
a.txt 3 true number
done queued

unknown_runtime runtime
done true" 'and runs'
sed -i 's/data\.stdout}/data.standard_output}/' "$dir/client/main.ts"
like "$(compile)" 'standard_output' 'what is no field of a result does not compile'

# the other way: what the document refuses, the server refuses
api /v1/run -d '{"runtime":"bash","source":"echo","no":1}'
is "$status" 400 'an unknown field is refused'
said=$(python3 tests/lib/openapi_check.py "$document" <(printf '%s\0' 200 POST /v1/run application/json '{"source":1,"no":1}' '{"id":"x","more":1}'))
like "$said" "POST /v1/run accepts: the whole: 'runtime' is a required property" 'the check sees a body that is not as described'
like "$said" "'more' was unexpected" 'and an answer'
stop_daemon
done_testing
