import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { firstDifference } from "../../scripts/cli/first-difference.ts";
import { remake } from "../../scripts/cli/remake.ts";
import {
  changesTable,
  explanationText,
  fieldsTable,
  historyTable,
  previewText,
  valuesTable,
  valueText,
} from "../../scripts/cli/render.ts";
import { parseAssignment } from "../../scripts/policy-edit.ts";
import { DEFAULT_POLICY } from "../../shared/contracts/policy.ts";
import { explainPlan } from "../../shared/hardness/explain.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import { encodeInputs, encodePlan, FORMAT } from "../../shared/hardness/record.ts";
import type { PlanInputs } from "../../shared/hardness/state.ts";
import { policyFields } from "../../shared/policy/fields.ts";
import { LEVELS } from "../../shared/taxonomy/taxonomy.ts";
import { region } from "./plan-inputs.ts";

const known = { failures: 3, exposures: 40, newFailures: 2, newExposures: 20, abilityMean: 0.2, abilityVar: 0.4 };
const supplied = { editable: 100, ownAnswers: 10, offered: LEVELS };

const inputs: PlanInputs = {
  at: 1_760_000_000_000,
  seed: 1,
  policy: { ...DEFAULT_POLICY.scheduler, budgetPairs: 60 },
  funds: { tokens: null, micros: null },
  regions: [
    region("counting", "count-near", { ...known, ...supplied, failureMass: 4 }),
    region("counting", "count-far", { ...known, ...supplied, failureMass: 1 }),
  ],
  difficulties: {},
};
const plan = makePlan(inputs);

async function sha256Hex(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const head = { id: 7, slot: "demand/1", at: inputs.at, policyVersion: 3, jobs: 0 };

/** A tick's record, stored as it is. */
async function recordOf(texts: { inputs: string; plan: string }) {
  const [inputsSha256, planSha256] = await Promise.all([sha256Hex(texts.inputs), sha256Hex(texts.plan)]);
  return { ...head, inputsSha256, planSha256, format: FORMAT, seed: inputs.seed, ...texts };
}

describe("a tick made again", () => {
  const texts = { inputs: encodeInputs(inputs), plan: encodePlan(plan) };

  test("has the same bytes", async () => {
    expect(plan.planned).toBeGreaterThan(0);
    expect(await remake(await recordOf(texts))).toMatchObject({ same: true });
  });

  test("is not trusted when a hash does not fit", async () => {
    const record = await recordOf(texts);
    for (const name of ["inputs", "plan"] as const) {
      const { same, findings } = await remake({ ...record, [name]: record[name].replace("1", "2") });
      expect(same).toBe(false);
      expect(findings.at(-1)).toContain(`Damaged ${name}`);
    }
  });

  test("names the first difference", async () => {
    const [first, ...rest] = plan.lines;
    const forged = encodePlan({ ...plan, lines: [{ ...(first ?? expect.fail()), pairs: 999 }, ...rest] });
    const { same, findings } = await remake(await recordOf({ ...texts, plan: forged }));
    expect(same).toBe(false);
    expect(findings.at(-1)).toContain(`lines.0.pairs: 999 / ${first?.pairs}`);
  });

  test("of another format is not tried", async () => {
    const { same, findings } = await remake({ ...(await recordOf(texts)), format: FORMAT - 1, inputs: "?" });
    expect(same).toBe(false);
    expect(findings).toEqual([expect.stringContaining(`format ${FORMAT - 1}`)]);
  });
});

test("the first difference is found wherever it is, and only where there is one", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(firstDifference(text, JSON.stringify(JSON.parse(text), null, 2))).toBeNull();
      expect(firstDifference(`{"a":[0,${text}]}`, `{"a":[0,[${text}]]}`)).toMatch(/^a\.1/);
    }),
  );
  expect(firstDifference('{"a":1}', '{"a":1,"b":2}')).toBe("b: nothing / 2");
  expect(firstDifference("[1]", '{"0":1}')).toContain("the whole");
});

describe("what is printed", () => {
  test("a value is what `path=` takes, but for texts that read like other JSON", () => {
    for (const value of [1, 0.5, true, null, "sft", [0.1, 0.2], ["a/b/c/d"]]) {
      expect(parseAssignment(`x=${valueText(value)}`)[1]).toEqual(value);
    }
  });

  test("the policy marks what is not the default", () => {
    const fields = policyFields().filter(({ path }) => path.startsWith("training.lo") || path === "training.beta");
    const rows = valuesTable(fields, (path) => (path === "training.beta" ? 0.2 : 16)).split("\n");
    expect(rows.find((row) => row.includes("training.beta"))).toMatch(/0\.2 .* 0\.5 /);
    expect(rows.find((row) => row.includes("training.loraRank"))).not.toMatch(/16 .* 16 /);
    expect(fieldsTable(fields)).toContain("a whole number from 1 to 512");
  });

  test("history tells who changed what, when and why, and that there is more", () => {
    const changes = [{ path: "training.beta", from: 0.5, to: 0.2 }];
    const version = { version: 4, createdAt: 0, author: "key:a", reason: "a test", changes };
    const text = historyTable({ versions: [version], next: 4 });
    for (const part of ["1970-01-01 00:00:00", "key:a", "a test", "training.beta: 0.5 -> 0.2", "--limit"]) {
      expect(text).toContain(part);
    }
    expect(historyTable({ versions: [version], next: null })).not.toContain("--limit");
  });

  test("a preview tells the change, the budget, and who gains or loses", () => {
    const one = { levelBefore: 2, levelAfter: 3, quotaBefore: 4, quotaAfter: 4 };
    const regions = Array.from({ length: 22 }, (_, i) => ({
      region: `r${i}`,
      pairsBefore: 10,
      pairsAfter: 15,
      ...one,
    }));
    const amount = { before: 1, after: 2 };
    const text = previewText({
      version: 1,
      changes: [{ path: "scheduler.budgetPairs", from: 220, to: 330 }],
      planned: { before: 220, after: 330 },
      expected: { tokens: amount, micros: amount },
      moved: 0.125,
      regions,
      summary: "A sentence.",
    });
    for (const part of [
      "scheduler.budgetPairs",
      "10 -> 15",
      "+5",
      "2 -> 3",
      "12.5 %",
      "2 more regions",
      "A sentence.",
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain("r20 ");
    expect(changesTable([])).toBe("Nothing differs.");
  });

  test("an explanation has every sentence of every region", () => {
    const made = explainPlan(inputs, plan);
    const lines = made.regions.map((one) => ({
      ...one,
      why: [...one.why],
      otherwise: [...one.otherwise],
      lines: one.lines.map((line) => ({ ...line, interval: [...line.interval] as [number, number], alarms: [] })),
    }));
    const hashes = { inputsSha256: "0".repeat(64), planSha256: "0".repeat(64) };
    const text = explanationText({ tick: { ...head, ...hashes }, summary: made.summary, regions: lines });
    expect(made.regions.length).toBeGreaterThan(0);
    for (const { why, otherwise, lines: own } of made.regions) {
      for (const sentence of [...why, ...otherwise, ...own.map((line) => line.sentence)])
        expect(text).toContain(sentence);
    }
    for (const sentence of made.summary) expect(text).toContain(sentence);
  });
});
