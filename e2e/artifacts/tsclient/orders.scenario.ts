// What the client of orders does where a service or a connection fails, and with forms, events and odd parameters: node
// orders.scenario.js URL. The server answers what orders_test.go says; what it was asked is checked there.

import { BrokenAnswerError, Client, ConflictError, ProblemError, type CreateOrderInput, type Event, type StreamEvent } from "./orders.js";
import { expect, run, thrown, url } from "./checks.js";

const client = new Client({ url });

const order = (customer: string): CreateOrderInput => ({ body: { customer, lines: [{ price: 1 }] } });

/** What a stream gives, and the error that ends it. */
async function watch(id: string): Promise<[StreamEvent<Event>[], unknown]> {
  const events: StreamEvent<Event>[] = [];
  try {
    for await (const event of client.watch({ id })) events.push(event);
  } catch (error) {
    return [events, error];
  }
  return [events, undefined];
}

await run({
  async "sends parameters of every kind"() {
    const { body } = await client.listOrders({ sid: "s", "X-Trace": "t", limit: 0, tag: ["a b", "&"] });
    expect(body?.[0]?.id === "a" && body[0].at === null, "an order", body);
    await client.listOrders({ sid: "s" });
    const split = await thrown(() => client.listOrders({ sid: "s; admin=1" }));
    expect(split instanceof TypeError, "a cookie refused", String(split));
  },

  async "sends null, and leaves out what is absent"() {
    const made = await client.createOrder({ body: { customer: "a", express: false, note: null, lines: [{ price: 1, level: null }] } });
    expect(made.fields.ETag === '"v1"' && made.fields["X-Left"] === 9007199254740991, "header fields", made.fields);
    const empty = await client.createOrder(order("empty"));
    expect(empty.status === 204 && empty.body === undefined, "no body", empty.status);
  },

  async "throws an error with details as its class"() {
    const error = await thrown(() => client.createOrder(order("conflict")));
    expect(error instanceof ConflictError && error.details.with === "b" && error.requestId === "r-1", "its details", String(error));
  },

  async "repeats what is idempotent"() {
    expect((await client.createOrder(order("flaky"))).status === 201, "201");
    expect((await client.serviceGetOrder({ id: "cut" })).body?.id === "cut", "the answer behind a connection that failed");
    const once = await thrown(() => new Client({ url, attempts: 1 }).serviceGetOrder({ id: "plain" }));
    expect(once instanceof ProblemError && once.status === 502 && once.requestId === "r-2", "a problem of an answer that is none", String(once));
  },

  async "never repeats what is not idempotent, and does not wait for an hour"() {
    expect((await thrown(() => client.otherGetOrder({ id: "a" }))) instanceof ProblemError, "a problem");
    expect((await thrown(() => client.serviceGetOrder({ id: "later" }))) instanceof ProblemError, "a problem");
  },

  async "escapes path parameters, and refuses those that lead elsewhere"() {
    await client.serviceGetOrder({ id: "a b?c#é/" });
    for (const id of ["", ".", ".."]) expect((await thrown(() => client.serviceGetOrder({ id }))) instanceof TypeError, "a refusal");
    const put = await client.putDeep({ dir: "d", rest: "a/b c", query: { q: "1" }, headers: { "X-More": "m" }, body: "bytes", contentType: "text/plain" });
    expect((await put.text()) === "bytes", "the bytes");
  },

  async "sends forms"() {
    await client.import({ body: { title: "t", file: new Blob(["A"]), more: [new Blob(["B"]), new Blob([])] } });
    const { body } = await client.search({ body: { text: "a&b=c" } });
    expect(body["first"]?.id === "a", "an order", body);
  },

  async "answers calls without a body"() {
    expect((await client.hasOrder({ id: "a" })).body === undefined, "no body");
    expect((await client.deleteOrder({ key: "a" })).status === 204, "204");
  },

  async "reads events with their id and name"() {
    const [events, error] = await watch("a");
    expect(error === undefined && events.length === 2, "two events", String(error));
    expect(events[0]?.id === "1" && events[0].event === "new" && events[0].data.kind === "é", "the first", events[0]);
  },

  async "throws what a stream broke off with"() {
    const [events, error] = await watch("broken");
    expect(events.length === 2 && error instanceof ProblemError && error.code === "late", "the problem", String(error));
    const [rest, cut] = await watch("cut");
    expect(rest.length === 2 && cut instanceof BrokenAnswerError, "an error of its own", String(cut));
  },
});
