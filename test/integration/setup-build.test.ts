import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";

const repository = fileURLToPath(new URL("../..", import.meta.url));

/** Creates a small project with the real scripts and tsconfigs, and `files` as its sources. */
async function projectWith(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "project-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, "scripts"));
  const copies = ["build", "start", "requirements"].map((name) => `scripts/${name}.mjs`);
  for (const name of [...copies, "tsconfig.base.json", "tsconfig.build.json", "tsconfig.web.json"]) {
    await copyFile(join(repository, name), join(root, name));
  }
  await symlink(join(repository, "node_modules"), join(root, "node_modules"));
  const all = { "package.json": '{"type":"module"}', "models/models.json": "[]", ...files };
  for (const [name, text] of Object.entries(all)) await put(root, name, text);
  return root;
}

async function put(root: string, name: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, name)), { recursive: true });
  await writeFile(join(root, name), text);
}

function launch(root: string, script: string, ...args: string[]) {
  return launchCommand(root, process.execPath, [join(root, "scripts", script), ...args]);
}

function launchCommand(root: string, command: string, args: readonly string[]) {
  const child: ChildProcess = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  return {
    child,
    ended,
    output: () => output,
    /** Resolves when the output contains `text`. Rejects if the process exits before. */
    printed: (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => output.includes(text) && resolve();
        child.stdout?.on("data", look);
        void ended.then((code) =>
          reject(new Error(`exited with ${code} before printing "${text}": ${output}`)),
        );
        look();
      }),
  };
}

async function run(root: string, script: string, ...args: string[]) {
  const started = launch(root, script, ...args);
  const code = await started.ended;
  return { code, output: started.output() };
}

describe("the build", () => {
  it("writes the server to dist/, the page to dist/web/ and nothing else", async () => {
    const root = await projectWith({
      "src/main.ts": 'import { word } from "./deep/word.ts";\nconsole.log(word);\n',
      "src/deep/word.ts": 'export const word: string = "hello";\n',
      "src/protocol/frame.ts": "export interface Frame { readonly text: string }\n",
      "web/app.ts":
        'import type { Frame } from "../src/protocol/frame.ts";\nexport const f: Frame = { text: "x" };\n',
      "web/index.html": "<!doctype html>\n",
      "web/tsconfig.json": '{ "extends": "../tsconfig.web.json", "include": ["."] }\n',
    });
    expect(await run(root, "build.mjs")).toEqual({ code: 0, output: "" });
    const files = (await readdir(join(root, "dist"), { recursive: true })).filter((name) =>
      /\.[\w-]+$/.test(name),
    );
    expect(files.filter((name) => !name.endsWith(".map")).toSorted()).toEqual([
      ".build-stamp",
      "deep/word.js",
      "main.js",
      "models.json",
      "protocol/frame.js",
      "web/app.js",
      "web/index.html",
    ]);
    const map = JSON.parse(await readFile(join(root, "dist/main.js.map"), "utf8"));
    expect(map.sources).toEqual(["../src/main.ts"]);
    expect((await readdir(root)).filter((name) => name.startsWith("dist"))).toEqual(["dist"]);
  });

  it("does nothing if nothing changed, and removes the output of deleted sources", async () => {
    const root = await projectWith({ "src/main.ts": "console.log(1);\n", "src/old.ts": "export {};\n" });
    await run(root, "build.mjs", "--if-changed");
    const main = join(root, "dist", "main.js");
    const builtAt = (await stat(main)).mtimeMs;
    await run(root, "build.mjs", "--if-changed");
    expect((await stat(main)).mtimeMs).toBe(builtAt);
    await rm(join(root, "src/old.ts"));
    await run(root, "build.mjs", "--if-changed");
    expect((await stat(main)).mtimeMs).toBeGreaterThan(builtAt);
    expect(existsSync(join(root, "dist/old.js"))).toBe(false);
  });

  it("leaves dist/ unchanged if a source does not compile, and compiles again next time", async () => {
    const root = await projectWith({ "src/main.ts": "console.log(1);\n" });
    await run(root, "build.mjs");
    const before = await readFile(join(root, "dist/main.js"), "utf8");
    await put(root, "src/main.ts", 'const wrong: number = "text";\nconsole.log(wrong);\n');
    for (let round = 0; round < 2; round++) {
      const { code, output } = await run(root, "build.mjs", "--if-changed");
      expect(code).toBe(1);
      expect(output).toContain("src/main.ts(1,7)");
    }
    expect(await readFile(join(root, "dist/main.js"), "utf8")).toBe(before);
    expect((await readdir(root)).filter((name) => name.startsWith("dist"))).toEqual(["dist"]);
  });
});

describe("npm start", () => {
  const service = `
    const timer = setInterval(() => undefined, 1000);
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => { console.log("got " + signal); clearInterval(timer); process.exitCode = 7; });
    }
    console.log("ready as " + process.argv[1]);
  `;

  it.each(["SIGTERM", "SIGINT"] as const)(
    "forwards %s to the service and exits with its exit code",
    async (signal) => {
      const root = await projectWith({ "src/main.ts": service });
      const started = launch(root, "start.mjs");
      await started.printed("ready as");
      expect(started.output()).toContain(join("dist", "main.js"));
      started.child.kill(signal);
      expect(await started.ended).toBe(7);
      expect(started.output()).toContain(`got ${signal}`);
    },
  );

  it("stops the service when npm itself gets SIGTERM, and leaves no process behind", async () => {
    const { scripts } = JSON.parse(await readFile(join(repository, "package.json"), "utf8"));
    const manifest = JSON.stringify({ type: "module", scripts: { start: scripts.start } });
    const pid = 'console.log("pid " + process.pid);';
    const root = await projectWith({ "src/main.ts": service + pid, "package.json": manifest });
    const started = launchCommand(root, "npm", ["start"]);
    await started.printed("pid ");
    started.child.kill("SIGTERM");
    expect(await started.ended).toBe(7);
    expect(started.output()).toContain("got SIGTERM");
    const servicePid = Number(/pid (\d+)/.exec(started.output())?.[1]);
    expect(() => process.kill(servicePid, 0)).toThrow("ESRCH");
  });

  it("builds only if a source changed", async () => {
    const root = await projectWith({ "src/main.ts": 'console.log("one");\n' });
    expect(await run(root, "start.mjs")).toEqual({ code: 0, output: "Building ...\none\n" });
    expect(await run(root, "start.mjs")).toEqual({ code: 0, output: "one\n" });
    await put(root, "src/main.ts", 'console.log("two");\n');
    expect(await run(root, "start.mjs")).toEqual({ code: 0, output: "Building ...\ntwo\n" });
  });

  it("does not start if a source does not compile", async () => {
    const root = await projectWith({ "src/main.ts": 'const wrong: number = "";\nconsole.log("started");\n' });
    const { code, output } = await run(root, "start.mjs");
    expect(code).toBe(1);
    expect(output).toContain("build failed");
    expect(output).not.toContain("started");
  });

  it("runs dist/ unchanged if there are no sources, as in an image", async () => {
    const root = await projectWith({ "dist/main.js": 'console.log("from the image");\n' });
    expect(await run(root, "start.mjs")).toEqual({ code: 0, output: "from the image\n" });
  });
});
