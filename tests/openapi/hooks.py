"""What schemathesis is told beside the document: waits are short, codes are documented ones, and calls are counted."""
import atexit
import json
import os

import schemathesis

# The longest wait that a generated call may ask for, in milliseconds: a fuzzer has other things to do.
WAIT_MS = 5
CALLS = {"made": 0}


def short(value):
    """Cuts every `wait_ms`, however deep; what is no number stays what it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "wait_ms" and isinstance(inner, int) and not isinstance(inner, bool) and inner > WAIT_MS:
                value[key] = WAIT_MS
            else:
                short(inner)
    elif isinstance(value, list):
        for inner in value:
            short(inner)


@schemathesis.hook
def before_call(context, case, kwargs):
    short(case.body)
    query = case.query
    if isinstance(query, dict) and str(query.get("wait_ms", "")).isdigit():
        query["wait_ms"] = str(min(WAIT_MS, int(query["wait_ms"])))


@schemathesis.hook
def after_call(context, case, response):
    CALLS["made"] += 1


@atexit.register
def write():
    path = os.environ.get("ARTEL_FUZZ_COUNT")
    if path:
        with open(path, "w") as file:
            json.dump(CALLS, file)


@schemathesis.check
def no_server_error(context, response, case):
    """No answer says that the node is at fault. A node alone cannot reach another home, and says so with 503 as documented."""
    if response.status_code >= 500:
        code = json.loads(response.content)["error"]["code"]
        assert code == "home_unreachable", code


@schemathesis.check
def code_conformance(context, response, case):
    """A refusal has the one shape, and a code that the document has for this operation and status."""
    if response.status_code < 400:
        return
    said = json.loads(response.content)
    code = said["error"]["code"]
    assert isinstance(said["error"]["message"], str) and "details" in said["error"], said
    assert response.headers["x-correlation-id"] == [said["correlation_id"]], "the correlation id is another one"
    if case.method.upper() != case.operation.method.upper():
        # Another method than the document has here is refused as such.
        assert code == "method_not_allowed", code
        return
    documented = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    if "$ref" in documented:
        name = documented["$ref"].rsplit("/", 1)[1]
        documented = case.operation.schema.raw_schema["components"]["responses"][name]
    assert code in documented.get("x-codes", []), f"{code} is not documented for {response.status_code}"
