import { html } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";

type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** What the page reads of a JSON schema. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
}
export type Schemas = Readonly<Record<string, Schema>>;

/** Integers beyond what a double holds exactly are no limit that a reader has to know. */
const UNTOLD = Number.MAX_SAFE_INTEGER;

export function resolve(schema: Schema, schemas: Schemas): Schema {
  return schema.$ref === undefined ? schema : (schemas[nameOf(schema.$ref)] ?? {});
}

function nameOf(ref: string): string {
  return ref.slice(ref.lastIndexOf("/") + 1);
}

/** A type and its limits in words: `string, 1 to 128 characters`. */
export function schemaFacts(schema: Schema, schemas: Schemas): string {
  const facts = [typeOf(schema, schemas), ...limitsOf(schema)];
  if (schema.default !== undefined && typeof schema.default !== "object" && schema.default !== "") {
    facts.push(`default ${JSON.stringify(schema.default)}`);
  }
  return facts.join(", ");
}

function typeOf(schema: Schema, schemas: Schemas): string {
  if (schema.$ref !== undefined) return nameOf(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return `one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`;
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return [...new Set(options.map((option) => schemaFacts(option, schemas)))].join(" or ");
  if (schema.prefixItems) return `list of ${schema.prefixItems.map((item) => typeOf(item, schemas)).join(" and ")}`;
  if (schema.items) return `list of ${typeOf(schema.items, schemas)}`;
  if (typeof schema.additionalProperties === "object" && !schema.properties) {
    return `object, each value ${schemaFacts(schema.additionalProperties, schemas) || "anything"}`;
  }
  if (schema.type === undefined) return "anything";
  return typeof schema.type === "string" ? schema.type : schema.type.join(" or ");
}

function limitsOf(schema: Schema): string[] {
  const limits = [
    range(schema.minLength, schema.maxLength, " characters"),
    range(schema.minItems, schema.maxItems, " items"),
    range(undefined, schema.maxProperties, " entries"),
    range(schema.minimum, schema.maximum, ""),
    schema.exclusiveMinimum === undefined ? null : `above ${schema.exclusiveMinimum}`,
    schema.exclusiveMaximum === undefined ? null : `below ${schema.exclusiveMaximum}`,
    schema.pattern === undefined ? null : `matching ${schema.pattern}`,
  ];
  return limits.filter((limit) => limit !== null);
}

function range(least: number | undefined, most: number | undefined, unit: string): string | null {
  const from = least !== undefined && least > -UNTOLD ? least.toLocaleString("en") : undefined;
  const to = most !== undefined && most < UNTOLD ? most.toLocaleString("en") : undefined;
  if (from !== undefined && to !== undefined) return from === to ? `${from}${unit}` : `${from} to ${to}${unit}`;
  if (from !== undefined) return `${from}${unit} or more`;
  return to === undefined ? null : `at most ${to}${unit}`;
}

/**
 * The fields of a schema as a list; null where there are none.
 * @param open levels of nested objects that are unfolded
 */
export function fieldsOf(schema: Schema, schemas: Schemas, open = 0): Html | null {
  const object = resolve(schema, schemas);
  if (object.properties) {
    const required = new Set(object.required);
    return html`<ul class="fields">${Object.entries(object.properties).map(([name, field]) =>
      fieldRow(name, field, required.has(name), schemas, open),
    )}</ul>`;
  }
  const inner = innerOf(object).flatMap((one) => {
    const fields = fieldsOf(one, schemas, open);
    return fields === null ? [] : [{ one, fields }];
  });
  if (inner.length === 0) return null;
  if (inner.length === 1) return html`${inner.map(({ fields }) => fields)}`;
  return html`<ul class="fields">${inner.map(({ fields }, index) => html`<li>${index === 0 ? "either" : "or"}${fields}</li>`)}</ul>`;
}

/** The schemas within one that is no object itself: of its items, its options, its values. */
function innerOf(schema: Schema): readonly Schema[] {
  const { items, prefixItems, additionalProperties: values } = schema;
  const alternatives = schema.anyOf ?? schema.oneOf ?? prefixItems?.slice(0, 1) ?? [];
  return [...alternatives, ...(items ? [items] : []), ...(typeof values === "object" ? [values] : [])];
}

function fieldRow(name: string, field: Schema, required: boolean, schemas: Schemas, open: number): Html {
  const nested = fieldsOf(field, schemas, open - 1);
  const facts = schemaFacts(field, schemas);
  return html`<li><code>${name}</code> <span class="type">${facts}</span>
${required ? html`<span class="required">required</span>` : ""}
${field.description === undefined ? "" : html`<div>${prose(field.description)}</div>`}
${nested === null ? "" : html`<details ${open > 0 ? "open" : ""}><summary>Fields</summary>${nested}</details>`}</li>`;
}

/** Text whose words in backticks are code. */
export function prose(text = ""): Html[] {
  return text.split("`").map((piece, index) => (index % 2 === 0 ? html`${piece}` : html`<code>${piece}</code>`));
}
