import { html, raw } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import { fieldsOf, prose, resolve, type Schema, type Schemas, schemaFacts } from "./docs-schema.ts";
import { DOCS_STYLE } from "./docs-style.ts";
import type { OpenApiDocument } from "./openapi.ts";

type Html = HtmlEscapedString | Promise<HtmlEscapedString>;
type PathItem = NonNullable<OpenApiDocument["paths"]>[string];
type OperationObject = NonNullable<PathItem["get"]> & { readonly "x-scopes"?: readonly string[] };
interface Listed {
  readonly method: string;
  readonly path: string;
  readonly operation: OperationObject;
}

/** Levels of nested fields that a body shows at once. */
const OPEN_LEVELS = 1;

/** The page for readers: no script, nothing from elsewhere. */
export function docsPage(document: OpenApiDocument): Html {
  const operations = list(document);
  const tags = document.tags ?? [];
  const ofTag = (tag: string) => operations.filter(({ operation }) => operation.tags?.includes(tag));
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${document.info.title} API</title>
<style>${raw(DOCS_STYLE)}</style>
</head>
<body>
<nav aria-label="Calls">
<p class="title">${document.info.title} API</p>
${tags.map(
  ({ name }) =>
    html`<h2>${name}</h2><ul>${ofTag(name).map(
      ({ method, path, operation }) =>
        html`<li><a href="#${operation.operationId}">${badge(method)}<span class="path">${path}</span></a></li>`,
    )}</ul>`,
)}
</nav>
<main>
<h1>${document.info.title} API</h1>
<p>${document.info.description}</p>
<p>The same for programs: <a href="/openapi.json">/openapi.json</a></p>
<h2>Access</h2>
<dl>${Object.entries(document.components?.securitySchemes ?? {}).map(
    ([name, scheme]) =>
      html`<dt><code>${name}</code></dt><dd>${prose((scheme as { description?: string }).description)}</dd>`,
  )}</dl>
${tags.map(
  ({ name, description }) => html`<section><h2>${name}</h2><p>${description}</p>
${ofTag(name).map((listed) => article(listed, document))}</section>`,
)}
<section><h2>Errors</h2>
<p>Every error is ${"{"}<code>"error": {"code", "message", "requestId", "details"}</code>${"}"}; its code is one of these.</p>
<dl>${Object.entries(document.components?.responses ?? {}).map(
    ([code, response]) =>
      html`<dt id="error-${code}"><code>${code}</code></dt><dd>${prose((response as { description?: string }).description)}</dd>`,
  )}</dl></section>
</main>
</body>
</html>`;
}

function list(document: OpenApiDocument): Listed[] {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method, path, operation: operation as OperationObject })),
  );
}

function badge(method: string): Html {
  return html`<b class="method ${method}">${method.toUpperCase()}</b>`;
}

function article({ method, path, operation }: Listed, document: OpenApiDocument): Html {
  const schemas = (document.components?.schemas ?? {}) as Schemas;
  return html`<article id="${operation.operationId}">
<h3>${badge(method)}<code>${path}</code></h3>
<p class="summary">${operation.summary}</p>
${operation.description === undefined ? "" : html`<p>${prose(operation.description)}</p>`}
<p class="access">${accessOf(operation)}</p>
${parametersOf(operation, schemas)}
${bodyOf(operation, schemas)}
${answersOf(operation, schemas)}
</article>`;
}

function accessOf(operation: OperationObject): string {
  const ways = (operation.security ?? []).flatMap((way) => Object.keys(way));
  if (ways.length === 0) return "Open to anybody.";
  const scopes = (operation["x-scopes"] ?? []).join(" or ");
  const others = [
    ...(ways.includes("token") ? ["a browser's token"] : []),
    ...(ways.includes("link") ? ["a signed link"] : []),
  ];
  return `Needs ${["a key with the scope ".concat(scopes), ...others].join(", or ")}.`;
}

function parametersOf({ parameters = [] }: OperationObject, schemas: Schemas): Html | string {
  if (parameters.length === 0) return "";
  const rows = parameters.flatMap((parameter) => ("name" in parameter ? [parameter] : []));
  return html`<h4>Parameters</h4><ul class="fields">${rows.map(({ name, in: place, required, description, schema }) => {
    const shape = (schema ?? {}) as Schema;
    return html`<li><code>${name}</code> <span class="type">in the ${place}, ${schemaFacts(shape, schemas)}</span>
${required ? html`<span class="required">required</span>` : ""}
${description === undefined ? "" : html`<div>${prose(description)}</div>`}</li>`;
  })}</ul>`;
}

interface Content {
  readonly [mediaType: string]: { readonly schema?: Schema; readonly example?: unknown };
}

function bodyOf({ requestBody }: OperationObject, schemas: Schemas): Html | string {
  if (!requestBody || !("content" in requestBody)) return "";
  const content = requestBody.content as Content;
  return html`<h4>Body</h4>${requestBody.description === undefined ? "" : html`<p>${requestBody.description}</p>`}
${contentOf(content, schemas, true)}`;
}

function answersOf({ responses = {} }: OperationObject, schemas: Schemas): Html {
  const all = Object.entries(responses) as [string, { $ref?: string; description?: string; content?: Content }][];
  const errors = all.filter(([, { $ref }]) => $ref !== undefined);
  const good = all.filter(([, { $ref }]) => $ref === undefined);
  return html`<h4>Answers</h4>
${good.map(
  ([
    status,
    { description, content = {} },
  ]) => html`<div class="answer"><p><b class="status">${status}</b> ${description}</p>
${contentOf(content, schemas, false)}</div>`,
)}
<p class="errors">${errors.map(([status, { $ref = "" }]) => {
    const code = $ref.slice($ref.lastIndexOf("/") + 1);
    return html`<a href="#error-${code}"><b class="status">${status}</b> ${code}</a> `;
  })}</p>`;
}

/** Media types that carry bytes are only named; the fields of the others are told, opened in bodies. */
function contentOf(content: Content, schemas: Schemas, open: boolean): Html[] {
  return Object.entries(content).map(([mediaType, { schema, example }]) => {
    if (!schema) return html`<p><code>${mediaType}</code></p>`;
    const fields = fieldsOf(schema, schemas, open ? OPEN_LEVELS : 0);
    const facts = html`<code>${mediaType}</code> <span class="type">${schemaFacts(schema, schemas)}</span>`;
    const shown = open && resolve(schema, schemas) === schema;
    return html`${fields === null ? html`<p>${facts}</p>` : html`<details ${shown ? "open" : ""}><summary>${facts}</summary>${fields}</details>`}
${example === undefined ? "" : html`<details><summary>Example</summary><pre>${JSON.stringify(example, null, 2)}</pre></details>`}`;
  });
}
