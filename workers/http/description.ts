import type { Hono } from "hono";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import type { AppEnv } from "./context.ts";
import { docsPage } from "./docs.ts";
import { DOCS_STYLE } from "./docs-style.ts";
import { openApiDocument } from "./openapi.ts";
import { mount } from "./operation.ts";

/** The interface, described by itself: for programs and for people. */
export function mountDescription(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.getOpenApi, () => ({ ...openApiDocument() }));
  mount(app, OPERATIONS.getDocs, async (c) => {
    c.header("content-security-policy", `default-src 'none'; style-src ${await hashOf(DOCS_STYLE)}; base-uri 'none'`);
    c.header("x-content-type-options", "nosniff");
    return c.html(docsPage(openApiDocument()));
  });
}

/** The one style that the page may have, as a Content Security Policy names it. */
async function hashOf(style: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
  return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`;
}
