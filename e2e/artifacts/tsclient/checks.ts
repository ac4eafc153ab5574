/** What a scenario says and checks, whatever the client. */

declare const process: { argv: string[]; exitCode: number };

export const [, , url = "", token = ""] = process.argv;

export function expect(ok: boolean, what: string, got?: unknown): asserts ok {
  if (!ok) throw new Error(`expected ${what}, got ${typeof got === "string" ? got : JSON.stringify(got)}`);
}

/** What a call throws. */
export async function thrown(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("expected an error, got none");
}

/** Runs what has to succeed, and says what has not. */
export async function run(scenario: Record<string, () => Promise<void>>): Promise<void> {
  for (const [name, step] of Object.entries(scenario)) {
    try {
      await step();
      console.log("ok:", name);
    } catch (error) {
      console.error("FAILED:", name, error);
      process.exitCode = 1;
    }
  }
}
