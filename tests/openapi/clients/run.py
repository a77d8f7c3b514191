"""Starts a node, has both clients generated from its document, and runs them against it. Started by `run`."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "strangers"))
from run import Node  # noqa: E402


def ran(what, command, at, **more):
    """Runs a program; what it printed."""
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, timeout=300, **more)
    if done.returncode != 0:
        print(done.stdout[-8_000:], done.stderr[-8_000:])
        raise SystemExit(f"{what} failed")
    return done.stdout + done.stderr


def python(node, at):
    said = ran("the generator in Python", ["openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "py",
                                           "--overwrite"], at)
    # Whatever it cannot express it leaves out, with a warning; that may be the bytes of any media type and nothing else.
    left_out = [line for line in said.splitlines() if "WARNING" in line and "/v1/artifacts/" not in line]
    assert not left_out, said
    environment = {**os.environ, "PYTHONPATH": str(at / "py")}
    return ran("the client in Python", [sys.executable, str(HERE / "client.py"), node.url, node.operator], at, env=environment)


def typescript(node, at):
    # What has a default may be left out of a body.
    ran("the generator for TypeScript", ["node", "node_modules/openapi-typescript/bin/cli.js", "openapi.json", "-o", "api.d.ts",
                                         "--default-non-nullable", "false"], at)
    ran("the compiler", ["node", "node_modules/typescript/bin/tsc", "-p", "tsconfig.json"], at)
    return ran("the client in TypeScript", ["node", "out/client.js", node.url, node.operator], at)


def main():
    binary, at = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        node = Node(binary, directory)
        try:
            (at / "openapi.json").write_bytes(node.call("/openapi.json"))
            for name, client in [("Python", python), ("TypeScript", typescript)]:
                said = json.loads(client(node, at).splitlines()[-1])
                task = node.json(f"/v1/tasks/{said['task']}", token=node.operator)
                assert task["status"] == "accepted" and task["paid"] == said["paid"], (said, task)
                print(f"{name}: enrolled, posted, claimed, handed in and paid {said['paid']} by a generated client")
        finally:
            node.stop()


if __name__ == "__main__":
    main()
