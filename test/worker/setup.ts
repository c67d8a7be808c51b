import { applyD1Migrations, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll } from "vitest";
import { forgetLanguages } from "./support.ts";

/** All test files share one workerd, which is much faster than one each; every file begins with empty stores. */
beforeAll(async () => {
  await reset();
  await applyD1Migrations(env.DB, env.MIGRATIONS);
  forgetLanguages();
});
