import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { importCycles, readSources, type SourceFile } from "../support/import-rules.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Files of the repository below some paths; files that are not committed yet are included, ignored ones are not. */
function filesOf(...paths: string[]): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", ...paths], {
    cwd: root,
    encoding: "utf8",
  });
  return listed.split("\n").filter((path) => path !== "" && existsSync(join(root, path)));
}

const textOf = (path: string): string => readFileSync(join(root, path), "utf8");

/** Scripts and their types. */
const scripts: readonly SourceFile[] = filesOf("scripts")
  .filter((path) => /\.(ts|mjs)$/.test(path))
  .map((path) => ({ path, text: textOf(path) }));

const MAX_FILES_IN_A_FOLDER = 20;

describe("folders", () => {
  it("of src contain only main.ts at the root", () => {
    expect(filesOf("src").filter((path) => dirname(path) === "src")).toEqual(["src/main.ts"]);
  });

  it(`of src and web contain at most ${MAX_FILES_IN_A_FOLDER} files each`, () => {
    const counts = new Map<string, number>();
    for (const path of filesOf("src", "web")) {
      counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
    }
    expect(counts.size).toBeGreaterThan(20);
    expect([...counts].filter(([, count]) => count > MAX_FILES_IN_A_FOLDER)).toEqual([]);
  });

  it("of tests and scripts have no import cycle, types included", () => {
    const files = [...readSources(root, ["test"]), ...scripts];
    expect(files.length).toBeGreaterThan(200);
    expect(importCycles(files)).toEqual([]);
  });
});

/** Retired words, each with its replacement. CONTRIBUTING.md lists the current names. */
const RETIRED: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["MOST_ and LEAST_ (MAX_ and MIN_)", /\b(MOST|LEAST)_/],
  ["BackEnd (provider)", /back[-_ ]?ends?\b/i],
  ["mend (fix)", /\bmend(s|ed|ing)?\b/i],
];

/** A field of /readyz and an option of Podman, which contain the old word. */
const KEPT = /\bback_ends\b|--events-backend\b/g;

describe("names", () => {
  const files = filesOf(
    "src",
    "web",
    "scripts",
    "docs",
    "test",
    "README.md",
    "CONTRIBUTING.md",
    ".env.example",
  ).filter(
    (path) => /\.(ts|mjs|js|md|html|css|sh|example)$/.test(path) && path !== "test/unit/invariants.test.ts",
  );

  it.each(RETIRED)("never use %s", (_name, pattern) => {
    expect(files.length).toBeGreaterThan(500);
    const users = files.filter(
      (path) => pattern.test(textOf(path).replaceAll(KEPT, "")) || pattern.test(path),
    );
    expect(users).toEqual([]);
  });
});

/** Names of the metrics that are created by `call` with a literal name. */
function metricNames(call: "gauge" | "counter"): string[] {
  const pattern = new RegExp(String.raw`\b${call}\(\s*(?:hot\(\s*)?"([a-z_]+)"`, "g");
  return readSources(root, ["src"]).flatMap(({ text }) =>
    [...text.matchAll(pattern)].map((match) => match[1] as string),
  );
}

describe("metrics", () => {
  it("that are counters end in _total, and no gauge does", () => {
    const counters = metricNames("counter");
    const gauges = metricNames("gauge");
    expect(Math.min(counters.length, gauges.length)).toBeGreaterThan(5);
    expect(counters.filter((name) => !name.endsWith("_total"))).toEqual([]);
    expect(gauges.filter((name) => name.endsWith("_total"))).toEqual([]);
  });

  it("have no time unit other than seconds in their names", () => {
    const names = [...metricNames("counter"), ...metricNames("gauge")];
    expect(names.filter((name) => /_(ms|millis|milliseconds|minutes)(_|$)/.test(name))).toEqual([]);
  });
});

/** Exports that only tests use: functions, classes and constants that are tested directly. */
const FOR_TESTS: readonly string[] = [
  "scripts/build.mjs sourceStamp",
  "scripts/complete-lock.mjs platformOfName",
  "scripts/complete-lock.mjs missingEntries",
  "scripts/complete-lock.mjs completeLock",
  "src/auth/client-address.ts parseAddress",
  "src/auth/client-address.ts accountKeyOf",
  "src/chat/commands/analyze.ts parseAnalysis",
  "src/core/fit-prompt.ts FILL_AFTER_CUT",
  "src/engine-host/model-catalog.ts catalogFile",
  "src/engine-host/model-download.ts HUB_URL",
  "src/engine-host/model-wheel.ts runPython",
  "src/engine/scheduling/decode-pauses.ts shortestFirst",
  "src/engine/model/template-markers.ts markersBetweenTurns",
  "src/engine/scheduling/decode-pauses.ts demandOf",
  "src/engine/speculation/prompt-lookup.ts MAX_GUESSES",
  "src/observability/event-loop-watch.ts EventLoopWatch",
  "src/observability/pino-logger.ts describeError",
  "src/protocol/client-frames.ts MAX_HISTORY_TURNS",
  "src/providers/chain/text-gates.ts HELD_CHARACTERS",
  "src/providers/chain/text-gates.ts MIN_OVERLAP",
  "src/providers/echo/echo-answer.ts repeatToBytes",
  "src/providers/remote/reply/finish-reasons.ts finishWords",
  "src/providers/remote/reply/json-answer.ts jsonOf",
  "src/providers/spend-limited-provider.ts limitSpending",
  "src/session/delivery/cursor.ts MAX_TOKEN_TEXT_BYTES",
  "src/session/delivery/flush-scheduler.ts MAX_WINDOW_MS",
  "src/session/delivery/flush-scheduler.ts windowFor",
  "src/session/limits/inbound-guard.ts BreachCounter",
  "src/session/limits/inbound-guard.ts BadFrameCounter",
  "web/markdown/parse-markdown.ts parseMarkdown",
  "web/view/dom.ts copyText",
];

describe("exports", () => {
  it("are used by another source file or script, except those listed for tests", () => {
    const sources = [...readSources(root, ["src", "web"]), ...scripts];
    const unused = sources.flatMap(({ path, text }) =>
      [...text.matchAll(/^export (?:async )?(?:function\*?|class|const) (\w+)/gm)]
        .map((match) => match[1] as string)
        .filter((name) => {
          const use = new RegExp(String.raw`\b${name}\b`);
          return !sources.some((other) => other.path !== path && use.test(other.text));
        })
        .map((name) => `${path} ${name}`),
    );
    expect(unused.toSorted()).toEqual(FOR_TESTS.toSorted());
  });
});
