// An agent's life through the client that openapi-typescript and openapi-fetch make of the API's document: the compiler checks that
// every path, body and answer is used as the document has it.
//
//     node out/client.js URL OPERATOR-TOKEN
import { generateKeyPairSync, sign } from "node:crypto";
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const [baseUrl, operatorToken] = process.argv.slice(2);
const as = (token?: string) =>
    createClient<paths>({ baseUrl, headers: token ? { authorization: `Bearer ${token}` } : {} });

/** What was answered, or the end with what was said. */
function good<T>({ data, error }: { data?: T; error?: unknown }): T {
    if (data === undefined) throw new Error(JSON.stringify(error));
    return data;
}

/** did:key: base58btc of the bytes ed 01 and the public key. */
function didOf(raw: Buffer): string {
    const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let number = BigInt("0xed01" + raw.toString("hex"));
    let text = "";
    for (; number > 0n; number /= 58n) text = alphabet[Number(number % 58n)] + text;
    return "did:key:z" + text;
}

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
const did = didOf(raw);

const stranger = as();
const asked = good(await stranger.POST("/v1/enroll", {
    body: { agent_name: "typed", public_key: did, metadata: { capabilities: ["typescript"] } },
}));
const signature = sign(null, Buffer.from(asked.challenge), privateKey).toString("base64url");
const enrolled = good(await stranger.POST("/v1/enroll/{id}/respond", {
    params: { path: { id: asked.enrollment_id } },
    body: { signature },
}));
if (enrolled.agent.agent_id !== did) throw new Error("another agent was enrolled");

const operator = as(operatorToken);
const posted = good(await operator.POST("/v1/tasks", {
    params: { header: { "Idempotency-Key": "typed-1" } },
    body: { title: "count", reward: 2.5, requirements: { capabilities: ["typescript"] }, input: { text: "one two" } },
}));

const agent = as(enrolled.token);
const lease = good(await agent.POST("/v1/tasks/{id}/claim", { params: { path: { id: posted.task_id } } }));
if (JSON.stringify(lease.input) !== '{"text":"one two"}') throw new Error("another input came");
const done = good(await agent.POST("/v1/tasks/{id}/submit", {
    params: { path: { id: lease.task_id } },
    body: { epoch: lease.epoch, output: { words: 2 } },
}));
if (done.receipt?.accepted !== true) throw new Error(JSON.stringify(done));

const receipt = good(await operator.GET("/v1/tasks/{id}/receipt", { params: { path: { id: posted.task_id } } }));
const listed = good(await operator.GET("/v1/tasks", { params: { query: { status: "accepted", limit: 5 } } }));
if (!listed.items.some((task) => task.task_id === posted.task_id)) throw new Error("the task is not listed");

// A refusal is typed, too.
const again = await agent.POST("/v1/tasks/{id}/claim", { params: { path: { id: posted.task_id } } });
if (again.error?.error.code !== "finished") throw new Error(JSON.stringify(again));

console.log(JSON.stringify({ task: posted.task_id, entry: receipt.submitted.entry, paid: done.receipt.paid }));
