import { createInterface } from "node:readline/promises";
import type { parseArgs } from "node:util";
import type { PolicyDocument } from "../../shared/contracts/policy.ts";
import { policyFields } from "../../shared/policy/fields.ts";
import { CallRefused, type OperatorApi } from "../loop/api.ts";
import { type Assignment, editedPolicy, fieldsBelow, parseAssignment } from "../policy-edit.ts";
import { UsageError } from "../usage-error.ts";
import { CONNECTION_OPTIONS, EXIT } from "./connection.ts";
import { changesTable, fieldsTable, historyTable, previewText, valuesTable, valueText } from "./render.ts";

export const OPTIONS = {
  ...CONNECTION_OPTIONS,
  reason: { type: "string" },
  yes: { type: "boolean", default: false },
  limit: { type: "string", default: "20" },
} as const;
export type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

const REASON_CHARS = 500;

export type PolicyApi = Pick<
  OperatorApi,
  "policy" | "setPolicy" | "previewPolicy" | "policyHistory" | "policyDiff" | "rollbackPolicy"
>;

/** What a command works with. */
interface Context {
  readonly api: PolicyApi;
  readonly args: readonly string[];
  readonly values: Values;
}

/** The commands that talk to an edge, each to its exit code. */
export const COMMANDS: Readonly<Record<string, (context: Context) => Promise<number>>> = {
  async get({ api, args, values }) {
    const [path] = atMost(args, 1);
    const fields = path === undefined ? policyFields() : fieldsBelow(path);
    const policy = await api.policy();
    const [only] = fields.filter((field) => field.path === path);
    if (values.json) print(path === undefined ? policy : valueAt(policy.document, path));
    else if (only) console.log(valueText(valueAt(policy.document, only.path)));
    else {
      console.log(valuesTable(fields, (at) => valueAt(policy.document, at)));
      console.log(`version ${policy.version}, by ${policy.author}: ${policy.reason}`);
    }
    return EXIT.ok;
  },

  async preview({ api, args, values }) {
    const { document } = await api.policy();
    const preview = await api.previewPolicy(editedPolicy(document, assignmentsOf(args)));
    if (values.json) print(preview);
    else console.log(previewText(preview));
    return EXIT.ok;
  },

  async set(context) {
    const { api, args } = context;
    const assignments = assignmentsOf(args);
    const { version, document } = await api.policy();
    const wanted = editedPolicy(document, assignments);
    const reason = reasonOf(context, `set ${args.join(" ")}`);
    return change(context, version, wanted, () => api.setPolicy(version, wanted, reason));
  },

  async rollback(context) {
    const { api, args } = context;
    const to = versionOf(atMost(args, 1)[0]);
    const { version, document } = await api.policy();
    const { changes } = await api.policyDiff(version, to);
    const wanted = editedPolicy(
      document,
      changes.map(({ path, to: value }): Assignment => [path, value]),
    );
    const reason = reasonOf(context, `rollback ${to}`);
    return change(context, version, wanted, () => api.rollbackPolicy(version, to, reason));
  },

  async history({ api, args, values }) {
    atMost(args, 0);
    const history = await api.policyHistory(limitOf(values.limit));
    if (values.json) print(history);
    else console.log(historyTable(history));
    return EXIT.ok;
  },

  async diff({ api, args, values }) {
    const [from, to] = atMost(args, 2);
    const diff = await api.policyDiff(versionOf(from), to === undefined ? undefined : versionOf(to));
    if (values.json) print(diff);
    else console.log(`version ${diff.from} -> ${diff.to}\n${changesTable(diff.changes)}`);
    return EXIT.ok;
  },
};

/** Needs no edge: the contract says it all. */
export function showFields(args: readonly string[], values: Values): number {
  const [path] = atMost(args, 1);
  const fields = path === undefined ? policyFields() : fieldsBelow(path);
  if (values.json) print({ fields });
  else console.log(fieldsTable(fields));
  return EXIT.ok;
}

/** Shows what the change of `version` would do, asks, and makes it. */
async function change(
  { api, values }: Context,
  version: number,
  wanted: PolicyDocument,
  make: () => ReturnType<PolicyApi["setPolicy"]>,
): Promise<number> {
  const preview = await api.previewPolicy(wanted);
  if (preview.version !== version) return sayStale(api, version);
  if (!values.json) console.log(previewText(preview));
  const changed = preview.changes.length > 0;
  if (changed && !values.yes && !(await confirmed())) return EXIT.declined;
  try {
    const now = changed ? (await make()).version : version;
    if (values.json) print({ version: now, changed, preview });
    else if (changed) console.log(`The policy has the version ${now}.`);
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CallRefused && error.code === "conflict") return sayStale(api, version);
    throw error;
  }
}

async function sayStale(api: PolicyApi, edited: number): Promise<number> {
  const { version, author, reason } = await api.policy();
  console.error(
    `policy: nothing was changed: ${author} made version ${version} meanwhile ("${reason}").\n` +
      `policy: see it with diff ${edited}, then repeat the command.`,
  );
  return EXIT.stale;
}

async function confirmed(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    console.error("policy: nothing was changed: add --yes, as nobody can be asked here.");
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question("Make this the policy? [y/N] ").catch(() => "no"); // Ctrl-C, or Ctrl-D
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function assignmentsOf(args: readonly string[]): Assignment[] {
  if (args.length === 0) throw new UsageError("say what to change: PATH=VALUE");
  return args.map(parseAssignment);
}

function reasonOf({ values }: Context, command: string): string {
  return values.reason ?? command.slice(0, REASON_CHARS);
}

function valueAt(document: object, path: string): unknown {
  return path.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], document);
}

function versionOf(text: string | undefined): number {
  if (text === undefined || !/^[1-9]\d{0,8}$/.test(text)) throw new UsageError("name a version by its number");
  return Number(text);
}

function limitOf(text: string): number {
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > 200)
    throw new UsageError("--limit is a whole number from 1 to 200");
  return limit;
}

function atMost(args: readonly string[], count: number): readonly string[] {
  if (args.length > count) throw new UsageError(`too many arguments: ${args.slice(count).join(" ")}`);
  return args;
}

function print(value: unknown): void {
  console.log(JSON.stringify(value));
}
