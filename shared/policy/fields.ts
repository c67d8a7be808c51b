import { z } from "zod";
import { DEFAULT_POLICY, type FieldMeta, policyDocument } from "../contracts/policy.ts";

/** One field of the policy, with all that somebody needs who wants to set it. */
export interface PolicyField extends FieldMeta {
  /** Dotted. */
  readonly path: string;
  readonly default: unknown;
  /** JSON Schema of the values that are allowed: type, bounds, choices. */
  readonly schema: Readonly<Record<string, unknown>>;
}

const fieldMeta = z.object({ description: z.string().min(1), unit: z.string() });

/**
 * Every field of the policy, in the order of the document.
 * @throws {z.ZodError} when the document has a field without a description or a unit
 */
export function policyFields(): PolicyField[] {
  return fieldsOf(policyDocument, DEFAULT_POLICY, "");
}

function fieldsOf(section: z.ZodObject, defaults: object, prefix: string): PolicyField[] {
  return Object.entries(section.shape).flatMap(([name, schema]) => {
    const path = prefix + name;
    const initial = (defaults as Record<string, unknown>)[name];
    const inner = innermost(schema as z.ZodType);
    if (inner instanceof z.ZodObject) return fieldsOf(inner, initial as object, `${path}.`);
    return [fieldOf(path, schema as z.ZodType, initial)];
  });
}

function innermost(schema: z.ZodType): z.ZodType {
  const wrapped = schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault;
  return wrapped ? innermost(schema.unwrap() as z.ZodType) : schema;
}

function fieldOf(path: string, schema: z.ZodType, initial: unknown): PolicyField {
  const meta = fieldMeta.parse(schema.meta());
  const { $schema, description, unit, default: _, ...allowed } = z.toJSONSchema(schema, { io: "input" });
  return { path, ...meta, default: initial, schema: allowed };
}
