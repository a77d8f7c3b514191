"""An agent's life through the client that openapi-python-client makes of the API's document.

    python client.py URL OPERATOR-TOKEN        (with the generated package on the path)
"""
import base64
import json
import sys

from artel_client import AuthenticatedClient, Client
from artel_client.api.enroll import enroll_enroll, enroll_respond
from artel_client.api.tasks import tasks_claim, tasks_list, tasks_post, tasks_receipt, tasks_submit
from artel_client.models import (
    ClaimRequest, EnrollRequest, EnrollRequestMetadata, Problem, RequirementsGiven, RespondRequest, SubmitRequest, TaskPost,
    TasksListStatus)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def good(answer):
    """What was answered, or the end with what was said."""
    if answer is None or isinstance(answer, Problem):
        raise SystemExit(f"refused: {answer}")
    return answer


def did_of(key):
    number = int.from_bytes(b"\xed\x01" + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "did:key:z" + text


def main():
    url, operator_token = sys.argv[1:]
    key = Ed25519PrivateKey.generate()
    metadata = EnrollRequestMetadata.from_dict({"capabilities": ["python"]})
    stranger = Client(base_url=url)
    asked = good(enroll_enroll.sync(client=stranger, body=EnrollRequest("generated", did_of(key), metadata=metadata)))
    signature = base64.urlsafe_b64encode(key.sign(asked.challenge.encode())).decode().rstrip("=")
    enrolled = good(enroll_respond.sync(asked.enrollment_id, client=stranger, body=RespondRequest(signature)))
    assert enrolled.agent.agent_id == did_of(key)

    operator = AuthenticatedClient(base_url=url, token=operator_token)
    task = TaskPost("count", reward=2.5, requirements=RequirementsGiven(capabilities=["python"]), input_={"text": "one two"})
    posted = good(tasks_post.sync(client=operator, body=task, idempotency_key="generated-1"))

    agent = AuthenticatedClient(base_url=url, token=enrolled.token)
    lease = good(tasks_claim.sync(posted.task_id, client=agent, body=ClaimRequest()))
    assert lease.input_ == {"text": "one two"}, lease
    done = good(tasks_submit.sync(lease.task_id, client=agent, body=SubmitRequest(lease.epoch, {"words": 2})))
    assert done.receipt.accepted is True, done

    receipt = good(tasks_receipt.sync(posted.task_id, client=operator))
    listed = good(tasks_list.sync(client=operator, status=TasksListStatus.ACCEPTED, limit=5))
    assert posted.task_id in [task.task_id for task in listed.items], "the task is not listed"

    again = tasks_claim.sync(posted.task_id, client=agent, body=ClaimRequest())
    assert isinstance(again, Problem) and again.error.code == "finished", again
    print(json.dumps({"task": str(posted.task_id), "entry": receipt.submitted.entry, "paid": done.receipt.paid}))


if __name__ == "__main__":
    main()
