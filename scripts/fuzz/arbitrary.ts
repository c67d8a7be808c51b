import fc from "fast-check";

/** What is read of a JSON schema: those words that the interface's document uses. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly propertyNames?: Schema;
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}
export type Schemas = Readonly<Record<string, Schema>>;

/** Longer texts and lists come from mutations. */
const CHARS = 60;
const ITEMS = 4;
const ENTRIES = 4;

/** The usual value, and the other ones every now and then. */
export function mostly<T, U>(usual: T, others: fc.Arbitrary<U>): fc.Arbitrary<T | U> {
  return fc.oneof({ weight: 5, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: others });
}

/** Values that a JSON schema allows, as far as the schema can say it. */
export function arbitraryOf(schema: Schema, schemas: Schemas): fc.Arbitrary<unknown> {
  if (schema.$ref !== undefined) return arbitraryOf(refer(schema.$ref, schemas), schemas);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return fc.oneof(...options.map((option) => arbitraryOf(option, schemas)));
  if (Array.isArray(schema.type)) {
    return fc.oneof(...schema.type.map((type: string) => arbitraryOf({ ...schema, type }, schemas)));
  }
  switch (schema.type) {
    case "string":
      return text(schema);
    case "integer":
      return fc.integer({ min: schema.minimum ?? -1_000_000, max: schema.maximum ?? 1_000_000 });
    case "number":
      return fc.double({ min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9, noNaN: true });
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "array":
      return list(schema, schemas);
    case "object":
      return object(schema, schemas);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

export function refer(ref: string, schemas: Schemas): Schema {
  const schema = schemas[ref.slice(ref.lastIndexOf("/") + 1)];
  if (!schema) throw new Error(`the document has no ${ref}`);
  return schema;
}

function text({ pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY }: Schema): fc.Arbitrary<string> {
  const fits = ({ length }: string) => length >= minLength && length <= maxLength;
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern)).filter(fits);
  const length = { minLength, maxLength: Math.max(minLength, Math.min(maxLength, CHARS)) };
  const units = ["grapheme-ascii", "grapheme", "binary"] as const;
  return fc.oneof(...units.map((unit) => fc.string({ unit, ...length }))).filter(fits);
}

function list(schema: Schema, schemas: Schemas): fc.Arbitrary<unknown[]> {
  if (schema.prefixItems) return fc.tuple(...schema.prefixItems.map((item) => arbitraryOf(item, schemas)));
  const { minItems = 0, maxItems = ITEMS } = schema;
  return fc.array(arbitraryOf(schema.items ?? {}, schemas), {
    minLength: minItems,
    maxLength: Math.max(minItems, Math.min(maxItems, ITEMS)),
  });
}

function object(schema: Schema, schemas: Schemas): fc.Arbitrary<Record<string, unknown>> {
  const { properties, required = [], additionalProperties: values } = schema;
  if (properties) {
    const fields = Object.entries(properties).map(([name, field]) => [name, arbitraryOf(field, schemas)] as const);
    return fc.record(Object.fromEntries(fields), { requiredKeys: [...required], noNullPrototype: true });
  }
  const names = text(schema.propertyNames ?? { maxLength: CHARS });
  const each = arbitraryOf(typeof values === "object" ? values : {}, schemas);
  return fc.dictionary(names, each, { maxKeys: ENTRIES, noNullPrototype: true });
}
