import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { connect, EXIT } from "../../scripts/cli/connection.ts";
import { COMMANDS, type PolicyApi, type Values } from "../../scripts/cli/policy-commands.ts";
import { CallRefused } from "../../scripts/loop/api.ts";
import { DEFAULT_POLICY, policyDocument } from "../../shared/contracts/policy.ts";
import { changesBetween } from "../../shared/policy/changes.ts";

/** An edge of which only the policy is there, in memory. */
class Edge implements PolicyApi {
  readonly versions = [{ version: 1, document: DEFAULT_POLICY, createdAt: 0, author: "system", reason: "default" }];
  /** Runs once, between the preview and the edit. */
  meanwhile: (() => void) | undefined;

  get newest() {
    return this.versions.at(-1) ?? expect.fail();
  }
  add(document: unknown, reason: string) {
    const next = { version: this.newest.version + 1, createdAt: 0, author: "key:other", reason };
    this.versions.push({ ...next, document: policyDocument.parse(document) });
    return this.newest;
  }
  of(version: number) {
    return this.versions.find((one) => one.version === version) ?? expect.fail();
  }

  async policy() {
    return this.newest;
  }
  async setPolicy(...[version, document, reason]: Parameters<PolicyApi["setPolicy"]>) {
    const body = { error: { code: "conflict", message: "stale", requestId: "r" } };
    if (version !== this.newest.version) throw new CallRefused("PUT /v1/policy", 409, JSON.stringify(body));
    return this.add(document, reason);
  }
  async rollbackPolicy(version: number, to: number, reason: string) {
    return this.setPolicy(version, this.of(to).document, reason);
  }
  async policyDiff(from: number, to = this.newest.version) {
    return { from, to, changes: changesBetween(this.of(from).document, this.of(to).document) };
  }
  async policyHistory() {
    return { versions: this.versions.toReversed().map((one) => ({ ...one, changes: [] })), next: null };
  }
  async previewPolicy(document: Parameters<PolicyApi["previewPolicy"]>[0]) {
    const { version, document: present } = this.newest;
    const same = { before: 1, after: 1 };
    const changes = changesBetween(present, policyDocument.parse(document));
    this.meanwhile?.();
    this.meanwhile = undefined;
    const expected = { tokens: same, micros: same };
    return { version, changes, planned: same, expected, moved: 0, regions: [], summary: "As it is." };
  }
}

let edge: Edge;
let printed: string[];
let complained: string[];
beforeEach(() => {
  edge = new Edge();
  printed = [];
  complained = [];
  vi.spyOn(console, "log").mockImplementation((text) => void printed.push(String(text)));
  vi.spyOn(console, "error").mockImplementation((text) => void complained.push(String(text)));
});

const VALUES: Values = { state: "", json: false, help: false, yes: false, limit: "20" };

function run(command: string, args: readonly string[], values: Partial<Values> = {}): Promise<number> {
  return COMMANDS[command]?.({ api: edge, args, values: { ...VALUES, ...values } }) ?? expect.fail(command);
}

describe("the policy's commands", () => {
  test("set nothing where nobody can be asked and nobody said yes", async () => {
    expect(await run("set", ["scheduler.budgetPairs=5"])).toBe(EXIT.declined);
    expect(edge.newest.version).toBe(1);
    expect(printed.join("\n")).toContain("As it is.");
    expect(complained.join("\n")).toContain("--yes");
  });

  test("make the next version, with the reason that was given or the command itself", async () => {
    expect(await run("set", ["scheduler.budgetPairs=5"], { yes: true })).toBe(EXIT.ok);
    expect(edge.newest).toMatchObject({ version: 2, reason: "set scheduler.budgetPairs=5" });
    expect(edge.newest.document.scheduler.budgetPairs).toBe(5);
    await run("set", ["training.objective=sft", "training.beta=1"], { yes: true, reason: "to compare" });
    expect(edge.newest).toMatchObject({ version: 3, reason: "to compare" });
    expect(edge.newest.document.training).toMatchObject({ objective: "sft", beta: 1 });
  });

  test("make no version that is like the one before", async () => {
    expect(await run("set", ["training.objective=dpo"], { yes: true })).toBe(EXIT.ok);
    expect(edge.versions).toHaveLength(1);
  });

  test("send nothing that the edge would refuse", async () => {
    const preview = vi.spyOn(edge, "previewPolicy");
    for (const [args, message] of [
      [["scheduler.capShare=2"], /scheduler\.capShare: .* from 0 to 1/],
      [["scheduler.capShar=1"], /there is no scheduler\.capShar /],
      [["scheduler.capShare"], /path=value/],
      [[], /PATH=VALUE/],
    ] as const) {
      await expect(run("set", args, { yes: true })).rejects.toThrow(message);
      await expect(run("preview", args)).rejects.toThrow(message);
    }
    expect(preview).not.toHaveBeenCalled();
  });

  test.each(["set", "rollback"])("%s says who was faster, and leaves that version alone", async (command) => {
    edge.add({ ...DEFAULT_POLICY, gate: { maxItems: 7 } }, "before");
    edge.meanwhile = () => edge.add({ ...edge.newest.document, gate: { maxItems: 9 } }, "a quick one");
    const args = command === "set" ? ["scheduler.budgetPairs=5"] : ["1"];
    expect(await run(command, args, { yes: true })).toBe(EXIT.stale);
    expect(complained.join("\n")).toMatch(/key:other made version 3 meanwhile \("a quick one"\)(.|\n)*diff 2/);
    expect(edge.newest.document.gate.maxItems).toBe(9);
    expect(edge.versions).toHaveLength(3);
  });

  test("roll back to what an earlier version said", async () => {
    await run("set", ["scheduler.budgetPairs=5", 'intake.models=["llava"]'], { yes: true });
    expect(await run("rollback", ["1"], { yes: true })).toBe(EXIT.ok);
    expect(edge.newest).toMatchObject({ version: 3, document: DEFAULT_POLICY, reason: "rollback 1" });
    await expect(run("rollback", ["one"])).rejects.toThrow("number");
  });

  test("print one JSON object for machines", async () => {
    await run("set", ["scheduler.budgetPairs=5"], { yes: true, json: true });
    await run("get", ["scheduler.budgetPairs"], { json: true });
    await run("get", ["training"], { json: true });
    await run("diff", ["1"], { json: true });
    await run("history", [], { json: true });
    const [set, value, section, diff, history] = printed.map((line) => JSON.parse(line));
    expect(printed).toHaveLength(5);
    expect(set).toMatchObject({ version: 2, changed: true, preview: { version: 1 } });
    expect(value).toBe(5);
    expect(section).toEqual(DEFAULT_POLICY.training);
    expect(diff.changes).toEqual([{ path: "scheduler.budgetPairs", from: 3_000, to: 5 }]);
    expect(history.versions).toHaveLength(2);
  });

  test("print a single value bare, for scripts", async () => {
    await run("get", ["training.objective"]);
    expect(printed).toEqual(["dpo"]);
  });
});

describe("the edge that is talked to", () => {
  const folder = mkdtempSync(join(tmpdir(), "nearmiss-cli-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const named = { NEARMISS_API: "https://edge.test/", NEARMISS_KEY: "k" };

  test("is the one named, else the local run's, else none", () => {
    expect(() => connect({ state: "." }, {}, folder)).toThrow(/loop\.json: start a local run with npm start/);
    expect(() => connect({ api: "https://edge.test", state: "." }, {}, folder)).toThrow("needs a key");
    expect(connect({ state: "." }, named, folder)).toBeDefined();
    writeFileSync(join(folder, "loop.json"), JSON.stringify({ adminKey: "k", rounds: [] }));
    expect(() => connect({ state: "." }, {}, folder)).toThrow("names no edge");
    writeFileSync(join(folder, "loop.json"), JSON.stringify({ adminKey: "k", url: "http://127.0.0.1:1" }));
    expect(connect({ state: "." }, {}, folder)).toBeDefined();
  });
});

test("a refusal is told in the edge's words, with each field", () => {
  const details = [{ path: "document.a", message: "too large" }];
  const body = { error: { code: "bad_request", message: "Not valid.", requestId: "r", details } };
  const refused = new CallRefused("PUT /v1/policy", 400, JSON.stringify(body));
  expect(refused).toMatchObject({ code: "bad_request", summary: "Not valid.\ndocument.a: too large" });
  expect(new CallRefused("GET /", 502, "<html>")).toMatchObject({ code: null, summary: "status 502" });
});
