type JsonSchema = Readonly<Record<string, unknown>>;

/** What a field's JSON Schema allows, in a few words: "a number from 0 to 1", "dpo or sft". */
export function allowedText(schema: JsonSchema): string {
  const { type } = schema;
  if (Array.isArray(schema.enum)) return schema.enum.join(" or ");
  if (Array.isArray(type)) return type.map((one) => allowedText({ ...schema, type: one })).join(" or ");
  if (Array.isArray(schema.anyOf)) return schema.anyOf.map((one) => allowedText(one as JsonSchema)).join(" or ");
  switch (type) {
    case "boolean":
      return "true or false";
    case "null":
      return "null";
    case "integer":
      return `a whole number${rangeText(schema)}`;
    case "number":
      return `a number${rangeText(schema)}`;
    case "string":
      return "a text";
    case "array":
      return listText(schema);
    default:
      return objectText(schema);
  }
}

function rangeText({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: JsonSchema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  const low =
    minimum !== undefined ? `at least ${minimum}` : exclusiveMinimum !== undefined && `above ${exclusiveMinimum}`;
  const high =
    maximum !== undefined ? `at most ${maximum}` : exclusiveMaximum !== undefined && `below ${exclusiveMaximum}`;
  const bounds = [low, high].filter((bound) => bound !== false);
  return bounds.length === 0 ? "" : `, ${bounds.join(" and ")}`;
}

function listText({ prefixItems, items, maxItems }: JsonSchema): string {
  if (Array.isArray(prefixItems)) {
    return `a list of ${prefixItems.length}, each ${allowedText((prefixItems[0] ?? {}) as JsonSchema)}`;
  }
  const size = maxItems === undefined ? "" : ` of up to ${maxItems}`;
  return `a list${size}, each ${allowedText((items ?? {}) as JsonSchema)}`;
}

function objectText({ properties, required }: JsonSchema): string {
  const needed = new Set(Array.isArray(required) ? required : []);
  const names = Object.keys((properties ?? {}) as object).map((name) =>
    needed.has(name) ? name : `${name} (optional)`,
  );
  return `an object with ${names.join(", ")}`;
}
