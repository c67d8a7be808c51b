import Table from "cli-table3";
import type { z } from "zod";
import type { explanationResponse, policyHistoryResponse, previewResponse } from "../../shared/contracts/operator.ts";
import { allowedText } from "../../shared/policy/allowed.ts";
import type { Change } from "../../shared/policy/changes.ts";
import type { PolicyField } from "../../shared/policy/fields.ts";

/** Regions of a preview that are shown; the rest is counted. */
const REGIONS_SHOWN = 20;
const DESCRIPTION_CHARS = 60;
const ALLOWED_CHARS = 32;

const PLAIN = { style: { head: [], border: [] } };
/** Without lines between the rows. */
const COMPACT = { style: { ...PLAIN.style, compact: true } };

/** A value as it is written after `path=`. */
export function valueText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Fields with their values, those marked that are not the default. */
export function valuesTable(fields: readonly PolicyField[], valueAt: (path: string) => unknown): string {
  const table = new Table({ head: ["field", "value", "unit", "default"], ...COMPACT });
  for (const { path, unit, default: initial } of fields) {
    const [value, usual] = [valueText(valueAt(path)), valueText(initial)];
    table.push([path, value, unit, value === usual ? "" : usual]);
  }
  return table.toString();
}

/** What can be set, and to what. */
export function fieldsTable(fields: readonly PolicyField[]): string {
  const colWidths = [null, ALLOWED_CHARS, null, null, DESCRIPTION_CHARS];
  const head = ["field", "takes", "unit", "default", ""];
  const table = new Table({ head, colWidths, wordWrap: true, ...PLAIN });
  for (const field of fields) {
    table.push([field.path, allowedText(field.schema), field.unit, valueText(field.default), senseOf(field)]);
  }
  return table.toString();
}

/** What the field means; of a list of objects, also what each of their members means. */
function senseOf({ description, schema }: PolicyField): string {
  const { properties = {} } = (schema.items ?? {}) as {
    readonly properties?: Record<string, { description?: string }>;
  };
  const members = Object.entries(properties).map(([name, member]) => `${name}: ${member.description ?? ""}`);
  return [description, ...members].join("\n");
}

export function changesTable(changes: readonly Change[]): string {
  if (changes.length === 0) return "Nothing differs.";
  const table = new Table({ head: ["field", "from", "to"], ...COMPACT });
  for (const { path, from, to } of changes) table.push([path, valueText(from), valueText(to)]);
  return table.toString();
}

export function historyTable({ versions, next }: z.infer<typeof policyHistoryResponse>): string {
  const table = new Table({ head: ["version", "when (UTC)", "by", "reason", "changes"], ...PLAIN });
  for (const { version, createdAt, author, reason, changes } of versions) {
    const lines = changes.map(({ path, from, to }) => `${path}: ${valueText(from)} -> ${valueText(to)}`);
    table.push([version, timeText(createdAt), author, reason, lines.join("\n")]);
  }
  return table.toString() + (next === null ? "" : "\nThere are older ones: --limit shows more.");
}

/** The changes, then what they would do. */
export function previewText(preview: z.infer<typeof previewResponse>): string {
  const { changes, planned, expected, moved, regions, summary } = preview;
  if (changes.length === 0) return summary;
  const totals = new Table({ head: ["next plan", "before", "after"], ...COMPACT });
  totals.push(
    ["pairs", planned.before, planned.after],
    ["tokens expected", expected.tokens.before, expected.tokens.after],
    ["micro-units expected", expected.micros.before, expected.micros.after],
    ["moved", { colSpan: 2, content: `${(100 * moved).toFixed(1)} %` }],
  );
  const parts = [changesTable(changes), totals.toString()];
  if (regions.length > 0) {
    const table = new Table({ head: ["region", "pairs", "", "level", "next batch"], ...COMPACT });
    for (const one of regions.slice(0, REGIONS_SHOWN)) {
      table.push([
        one.region,
        fromTo(one.pairsBefore, one.pairsAfter),
        signed(one.pairsAfter - one.pairsBefore),
        fromTo(one.levelBefore ?? "-", one.levelAfter ?? "-"),
        fromTo(one.quotaBefore, one.quotaAfter),
      ]);
    }
    parts.push(table.toString());
    const left = regions.length - REGIONS_SHOWN;
    if (left > 0) parts.push(`and ${left} more regions`);
  }
  return [...parts, summary].join("\n");
}

/** Why a plan is as it is, region by region. */
export function explanationText({ tick, summary, regions }: z.infer<typeof explanationResponse>): string {
  const head = `tick ${tick.id} (${tick.slot}), ${timeText(tick.at)} UTC, policy version ${tick.policyVersion}`;
  const parts = regions.map(({ region, pairs, lines, why, otherwise }) =>
    [
      `${region}: ${pairs} pairs`,
      ...section("why", [...new Set([...lines.map(({ sentence }) => sentence), ...why])]),
      ...section("otherwise", otherwise),
    ].join("\n"),
  );
  return [[head, ...summary].join("\n"), ...parts].join("\n\n");
}

function section(name: string, sentences: readonly string[]): string[] {
  return sentences.length === 0 ? [] : [`  ${name}:`, ...sentences.map((sentence) => `    - ${sentence}`)];
}

function fromTo(from: string | number, to: string | number): string {
  return from === to ? String(to) : `${from} -> ${to}`;
}

function signed(difference: number): string {
  if (difference === 0) return "";
  return difference > 0 ? `+${difference}` : String(difference);
}

function timeText(at: number): string {
  return new Date(at).toISOString().slice(0, 19).replace("T", " ");
}
