#!/usr/bin/env python3
"""One task over three nodes is one trace: what a collector of OpenTelemetry's is sent, read by OpenTelemetry's own messages.

    python3 tests/openapi/traces.py PATH-TO-ARTEL

Home posts a task in a caller's trace; an agent of a second node takes it and gives it back; one of a third node does it. Needs the
packages of requirements.txt. Ends 0 when all three nodes' spans of the task are in one trace that hangs together, 1 otherwise.
"""
import http.server
import pathlib
import sys
import tempfile
import threading
import urllib.request

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "strangers"))
import run  # noqa: E402
from abroad import wait  # noqa: E402

# The example of the W3C's own text: a caller's trace and span.
CALLER = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


class Collector(http.server.ThreadingHTTPServer):
    """Takes OTLP over HTTP, and keeps the spans with the node that sent them."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans, self.wrong = [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, name):
        return [(node, span) for node, span in list(self.spans) if span.name == name]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        kind = self.headers["content-type"]
        if self.path != "/v1/traces" or kind != "application/x-protobuf":
            self.server.wrong.append(f"{self.path} {kind}")
        request = ExportTraceServiceRequest.FromString(body)
        if request.SerializeToString() != body:
            self.server.wrong.append("it is encoded in another way than OpenTelemetry's library has it")
        for of_resource in request.resource_spans:
            resource = {a.key: a.value.string_value for a in of_resource.resource.attributes}
            assert resource["service.name"] == "artel", resource
            for scope in of_resource.scope_spans:
                self.server.spans += [(resource["service.instance.id"], span) for span in scope.spans]
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def attributes(span):
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def main():
    binary, collector = sys.argv[1], Collector()
    otlp = f"http://127.0.0.1:{collector.server_address[1]}"
    listen = ["--listen", "/ip4/127.0.0.1/tcp/0"]
    nodes = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            for number in range(3):
                data = pathlib.Path(directory) / str(number) / "node"
                data.mkdir(mode=0o700, parents=True)
                (data / "config.toml").write_text(f'otlp = "{otlp}"\n')
                more = []
                if nodes:
                    invitation = nodes[0].json("/v1/invitations", {"uses": 1}, nodes[0].operator)["invitation"]
                    more = ["--join", invitation]
                nodes.append(run.Node(binary, data.parent, [*listen, *more]))
            check(collector, *nodes)
        finally:
            for node in reversed(nodes):
                node.stop()


def admitted(node):
    return [p for p in node.json("/v1/peers", token=node.operator)["items"] if p["status"] == "admitted"]


def check(collector, home, second, third):
    for node in (second, third):
        wait("the meeting", lambda: admitted(node))
    tokens = [run.enroll(node, Ed25519PrivateKey.generate(), "walker", delegate=True)[1] for node in (second, third)]
    headers = {"content-type": "application/json", "authorization": f"Bearer {home.operator}",
               "traceparent": f"00-{CALLER[0]}-{CALLER[1]}-01"}
    body = b'{"title": "go round", "requirements": {"capabilities": ["text"]}, "reward": 1}'
    with urllib.request.urlopen(urllib.request.Request(f"{home.url}/v1/tasks", body, headers), timeout=run.DEADLINE) as answer:
        response = answer.headers["traceresponse"].split("-")
        task = run.json.loads(answer.read())["task_id"]
    assert response[1] == CALLER[0] and response[2] != CALLER[1], response

    for node, token in zip((second, third), tokens):
        wait("the offer", lambda: [o for o in node.json("/v1/offers", token=node.operator)["items"] if o["task_id"] == task])
        lease = node.json(f"/v1/tasks/{task}/claim", {"wait_ms": 10_000}, token)
        if node is second:
            node.json(f"/v1/tasks/{task}/release", {"epoch": lease["epoch"]}, token)
        else:
            node.json(f"/v1/tasks/{task}/submit", {"epoch": lease["epoch"], "output": {"done": True}}, token)

    names = {
        home: ["post", "offer", "lease", "check", "task", "request"],
        second: ["work"],
        third: ["work", "submit", "verdict heard"],
    }
    dids = {node: run.did_of(run.key_of_peer(node.ready["peer_id"])) for node in names}
    for node, wanted in names.items():
        for name in wanted:
            wait(f"the span {name!r} of {dids[node]}", lambda: [1 for by, _ in collector.of(name) if by == dids[node]])

    mine = [(by, span) for by, span in collector.spans
            if attributes(span).get("artel.task") == task or span.name == "post"]
    traces = {span.trace_id for _, span in mine}
    assert len(traces) == 1, f"one task, and {len(traces)} traces"
    assert {by for by, _ in mine} == set(dids.values()), "the spans are not of three nodes"
    [(_, top)] = collector.of("task")
    ids = [span.span_id for _, span in mine]
    assert len(ids) == len(set(ids)), "two spans have one id"
    for _, span in mine:
        hangs = span.parent_span_id == (b"" if span is top else top.span_id)
        assert hangs and span.start_time_unix_nano <= span.end_time_unix_nano, span
    assert top.status.code == 1, top

    # The caller's trace has the request, and the post leads to it.
    [request] = [span for _, span in collector.of("request") if attributes(span)["http.route"] == "/v1/tasks"]
    assert request.trace_id.hex() == CALLER[0] and request.parent_span_id.hex() == CALLER[1], request
    assert request.span_id.hex() == response[2], request
    [(_, post)] = collector.of("post")
    assert [(link.trace_id, link.span_id) for link in post.links] == [(request.trace_id, request.span_id)], post
    assert not collector.wrong, collector.wrong
    print(f"one task over three nodes: {len(mine)} spans in one trace, linked to the caller's own")


if __name__ == "__main__":
    main()
