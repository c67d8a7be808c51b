import type { z } from "zod";
import type { tickRecord } from "../../shared/contracts/operator.ts";
import { makePlan } from "../../shared/hardness/plan.ts";
import { decodeInputs, encodePlan, FORMAT } from "../../shared/hardness/record.ts";
import { firstDifference } from "./first-difference.ts";

export interface Remade {
  readonly same: boolean;
  /** Sentences: what was checked, and what came of it. */
  readonly findings: readonly string[];
}

/**
 * Makes a stored plan again from its stored inputs and compares the bytes. The hashes are checked first, so that what was
 * compared is what the tick stored.
 */
export async function remake(record: z.infer<typeof tickRecord>): Promise<Remade> {
  if (record.format !== FORMAT) {
    const finding = `The tick has the format ${record.format}; this version makes plans of format ${FORMAT} only.`;
    return { same: false, findings: [finding] };
  }
  const findings: string[] = [];
  for (const [name, text, expected] of [
    ["inputs", record.inputs, record.inputsSha256],
    ["plan", record.plan, record.planSha256],
  ] as const) {
    const hash = await sha256Hex(text);
    if (hash !== expected) return { same: false, findings: [`Damaged ${name}: ${hash} is not ${expected}.`] };
    findings.push(`Stored ${name}: the hash fits (${expected.slice(0, 12)}).`);
  }
  const plan = encodePlan(makePlan(decodeInputs(record.inputs)));
  if (plan === record.plan) return { same: true, findings: [...findings, "Made again, the plan has the same bytes."] };
  const where = firstDifference(record.plan, plan) ?? "only the way it is written";
  return { same: false, findings: [...findings, `Made again, the plan differs (stored / made again): ${where}.`] };
}

async function sha256Hex(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
