// The scenario of billing, by the client that is generated from its manifest: node billing.scenario.js URL TOKEN.

import { Client, JobError, ProblemError, SlowWatcherError, UnknownAttachmentError, UnknownInvoiceError, type Event } from "./billing.js";
import { expect, run, thrown, token, url } from "./checks.js";

const client = new Client({ url, token: async () => token });

async function create(customer: string): Promise<string> {
  const made = await client.createInvoice({
    body: { customer, currency: "EUR", lines: [{ description: "hours", quantity: 3, unitCents: 12_500 }] },
  });
  expect(made.status === 201, "201", made.status);
  expect(made.body.totalCents === 37_500, "a total", made.body);
  expect(made.fields.Location === `/invoices/${made.body.id}`, "where the invoice is", made.fields);
  return made.body.id!;
}

/** Waits until so many callers follow an invoice. */
async function watchers(count: number): Promise<void> {
  for (const end = Date.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const { body } = await client.getStatus();
    if (body.watchers === count) return;
    expect(Date.now() < end, `${count} watchers`, body);
  }
}

await run({
  async "creates, gets and lists invoices"() {
    const [first] = [await create("acme"), await create("acme"), await create("other")];
    const { body: found } = await client.getInvoice({ id: first });
    expect(found.customer === "acme" && found.lines?.[0]?.quantity === 3, "the invoice", found);
    const { body: page } = await client.listInvoices({ customer: "acme", limit: 1 });
    expect(page.invoices?.length === 1 && page.next === first, "one invoice and where to go on", page);
    const { body: second } = await client.listInvoices({ customer: "acme", after: page.next });
    expect(second.invoices?.length === 1 && second.invoices[0]?.id !== first, "the other invoice", second);
  },

  async "throws a declared error with its details"() {
    const error = await thrown(() => client.getInvoice({ id: "inv-none" }));
    expect(error instanceof UnknownInvoiceError && error instanceof ProblemError, "its class", String(error));
    expect(error.details.id === "inv-none" && error.status === 404 && error.code === "unknown_invoice" && !!error.requestId, "its members", error.problem);
    const id = await create("errors");
    expect((await thrown(() => client.attachment({ id, name: "none" }))) instanceof UnknownAttachmentError, "the other class");
  },

  async "throws every other error answer as a problem"() {
    const error = await thrown(() => client.createInvoice({ body: { customer: "", currency: "euro", lines: [] } }));
    expect(error instanceof ProblemError && error.status === 400, "a problem", String(error));
    const pointers = error.problem.errors?.map((fault) => fault.pointer).sort().join();
    expect(pointers === "/currency,/customer,/lines", "every fault", pointers);
    const refused = await thrown(() => new Client({ url }).listInvoices());
    expect(refused instanceof ProblemError && refused.status === 401, "a problem without a token", String(refused));
  },

  async "streams bytes both ways"() {
    const id = await create("files");
    const text = "0123456789".repeat(100_000);
    const body = new Blob([text]).stream();
    const put = await client.attach({ id, name: "a.txt", body, contentType: "text/plain" });
    expect(put.status === 201, "201", put.status);
    const got = await client.attachment({ id, name: "a.txt" });
    expect(got.headers.get("Content-Type") === "text/plain" && (await got.text()) === text, "the file");
  },

  async "follows a stream, and leaves it with the loop"() {
    const id = await create("watched");
    const events: Event[] = [];
    for await (const event of client.watch({ id })) {
      events.push(event);
      if (event.type === "attached") break;
      await watchers(1);
      await client.attach({ id, name: "a", body: "x" });
    }
    expect(events.map((event) => event.type).join() === "created,attached" && events[1]?.attachment?.name === "a", "two events", events);
    await watchers(0);
  },

  async "ends a stream that is aborted, before and while it waits"() {
    const id = await create("aborted");
    const control = new AbortController();
    const reason = new Error("enough");
    let count = 0;
    const error = await thrown(async () => {
      for await (const event of client.watch({ id }, { signal: control.signal })) {
        expect(event.type === "created", "the first event", event);
        count++;
        await watchers(1);
        setTimeout(() => control.abort(reason), 50);
      }
    });
    expect(error === reason && count === 1, "the reason of the abort", String(error));
    await watchers(0);
    expect((await thrown(() => client.watch({ id }, { signal: control.signal }).next())) === reason, "the reason at once");
  },

  async "throws the error of a stream that never began"() {
    const error = await thrown(() => client.watch({ id: "inv-none" }).next());
    expect(error instanceof UnknownInvoiceError && !(error instanceof SlowWatcherError), "its class", String(error));
  },

  async "ends a call that is aborted"() {
    const reason = new Error("too late");
    expect((await thrown(() => client.getStatus({ signal: AbortSignal.abort(reason) }))) === reason, "the reason");
  },

  async "waits for a job and gives its result"() {
    const month = new Date().toISOString().slice(0, 7);
    const report = await (await client.createMonthlyReport({ body: { month } })).result();
    expect(report.month === month && (report.invoices ?? 0) > 0, "a report", report);
    const dead = await thrown(async () => (await client.createMonthlyReport({ body: { month: "never" } })).result());
    expect(dead instanceof JobError && dead.status.state === "dead", "a dead job", String(dead));
  },
});
