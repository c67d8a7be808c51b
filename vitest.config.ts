import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    silent: "passed-only",
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              cf: false,
              bindings: {
                MIGRATIONS: await readD1Migrations("./migrations"),
                // SHA-256 of "nm_test-admin"
                ADMIN_KEY_SHA256: "f98ad06bf982ac8dc2b24a2ccdfc86856cafa714aeb6c32eae0e3dc6fa8c724a",
              },
            },
          })),
        ],
        test: {
          name: "worker",
          include: ["test/worker/**/*.test.ts"],
          testTimeout: 30_000,
          isolate: false,
          fileParallelism: false,
          setupFiles: ["test/worker/setup.ts"],
        },
      },
      {
        test: {
          name: "loop",
          include: ["test/loop/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "browser",
          include: ["test/browser/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
